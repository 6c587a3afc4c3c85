"""A headless Chromium that a test drives by the DevTools protocol.

https://chromedevtools.github.io/devtools-protocol
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

PROGRAM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
ARGUMENTS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
    *("--no-first-run", "--disable-background-networking", "--disable-component-update"),
    *("--remote-debugging-port=0", "--remote-allow-origins=*"),
)
PATIENCE = 60.0
TROUBLE = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")


class Browser:
    """One page of it: what it asks for and complains about is kept."""

    def __init__(self, address: str) -> None:
        websocket = pytest.importorskip("websocket")
        self._connection = websocket.create_connection(address, timeout=PATIENCE)
        self._number = 0
        self.requests: list[str] = []
        self.complaints: list[Any] = []
        self._loaded = False
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.call("Emulation.setFocusEmulationEnabled", enabled=True)

    def close(self) -> None:
        self._connection.close()

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol and wait for its answer."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        self._connection.send(json.dumps(message))
        while (answer := self._receive()).get("id") != self._number:
            pass
        assert "error" not in answer, answer
        return answer["result"]

    def _receive(self) -> dict[str, Any]:
        message = json.loads(self._connection.recv())
        about = message.get("method", "")
        if about in TROUBLE:
            self.complaints.append(message["params"])
        elif about == "Network.requestWillBeSent":
            self.requests.append(message["params"]["request"]["url"])
        elif about == "Page.loadEventFired":
            self._loaded = True
        return message

    def open(self, page: Path, width: int = 1400, look: str = "light") -> None:
        """Open a file in a window ``width`` pixels wide, on a machine with a ``look``."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        self.call(
            "Emulation.setEmulatedMedia",
            features=[{"name": "prefers-color-scheme", "value": look}],
        )
        self.requests.clear()
        self._loaded = False
        self.call("Page.navigate", url=page.as_uri())
        while not self._loaded:
            self._receive()
        self.settle()

    def settle(self) -> None:
        """Wait until the page has drawn what it was asked for."""
        self.evaluate(
            "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
        )

    def evaluate(self, expression: str) -> Any:
        """The value of an expression in the page."""
        answer = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def point_at(self, x: float, y: float) -> None:
        """Move the pointer to a place in the window."""
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        self.settle()

    def mouse(self, kind: str, x: float, y: float, **more: Any) -> None:
        """An event of the mouse, "Pressed", "Released", "Moved" or "Wheel", at a place."""
        self.call("Input.dispatchMouseEvent", type=f"mouse{kind}", x=x, y=y, **more)

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Draw with the mouse from a place to another."""
        middle = (start[0] + end[0]) / 2, (start[1] + end[1]) / 2
        self.mouse("Pressed", *start, button="left", clickCount=1)
        for place in (middle, end):
            self.mouse("Moved", *place, button="left", buttons=1)
        self.mouse("Released", *end, button="left", clickCount=1)
        self.settle()

    def double_click(self, x: float, y: float) -> None:
        """Press and release twice at a place."""
        for count in (1, 2):
            for kind in ("Pressed", "Released"):
                self.mouse(kind, x, y, button="left", clickCount=count)
        self.settle()

    def key(self, key: str) -> None:
        """Press a key, of a letter or with a name."""
        text = {"text": key} if len(key) == 1 else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key)
        self.settle()

    def touch(self, *places: tuple[float, float]) -> None:
        """Put a finger down at the first of some places, move it to the others, and lift it."""
        for kind, place in zip(["touchStart", *["touchMove"] * len(places)], places, strict=False):
            points = [{"x": place[0], "y": place[1]}]
            self.call("Input.dispatchTouchEvent", type=kind, touchPoints=points)
        self.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
        self.settle()


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """A browser with its own ``profile``; the test is skipped where there is none."""
    if PROGRAM is None:
        pytest.skip("needs Debian's package chromium")
    arguments = [PROGRAM, *ARGUMENTS, f"--user-data-dir={profile}", "about:blank"]
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        page = Browser(_address(profile / "DevToolsActivePort"))
        yield page
        page.close()
    finally:
        process.terminate()
        process.wait()


def _address(port: Path) -> str:
    """Where the first page of a browser listens, which writes its ``port`` into a file."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if port.exists() and len(lines := port.read_text().split()) == 2:
            tabs = requests.get(f"http://127.0.0.1:{lines[0]}/json", timeout=PATIENCE).json()
            addresses = [tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page"]
            if addresses:
                return addresses[0]
        time.sleep(0.05)
    raise AssertionError("the browser does not start")
