"""Products of steps, found again by the content of everything they were made from.

The key of a step is the SHA-256 of its command with each path replaced by the checksum of what is
there, together with the checksum of the code that it runs. Names, places and times of files do
not enter, so that a step runs again if, and only if, something that it reads has changed. The
store holds hard links to the products where the file system allows them: it costs no space until
a product is replaced.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import threading
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import madminer_workflow
from madminer_workflow import graph
from madminer_workflow.analysis.cards import mentioned_files
from madminer_workflow.engines.code import code_checksum, joint_checksum
from madminer_workflow.files import checksum, link

# The engine's own notes in the directory of a step; never part of its product.
NOTES = "_packtivity"

_SCRATCH = re.compile(r"\..+\.[0-9a-f]{32}")
_PATH = re.compile(r"/[^\s'\"`;|&<>()$]+")


class Cache:
    """A store of products in one directory; safe to use from several threads."""

    def __init__(self, directory: Path) -> None:
        """Keep the store in ``directory``, which need not exist."""
        self.directory = directory
        self._package = Path(madminer_workflow.__file__).parent
        self._code: dict[str | None, str] = {}
        self._lock = threading.Lock()
        self._known: dict[tuple[int, int, int, int], str] = {}

    def key(self, command: str, target: Path) -> str:
        """The key of ``command``, whose product goes to the directory ``target``."""
        template = replace_path(command, target, "{output}")
        resolved = _PATH.sub(lambda match: self._content(match[0]), template)
        return hashlib.sha256(f"{self._code_checksum(command)}\n{resolved}".encode()).hexdigest()

    def restore(self, key: str, target: Path) -> bool:
        """Make ``target`` hold the product of ``key``; False if the store has no intact one."""
        entry = self.directory / key
        try:
            manifest = json.loads((entry / "manifest.json").read_text())
        except (OSError, ValueError):
            return False
        if self._files(entry / "files") != manifest:
            shutil.rmtree(entry, ignore_errors=True)
            return False
        if self._files(target) != manifest:
            with scratch_directory(target) as scratch:
                _link_files(entry / "files", manifest, scratch)
                replace_product(target, scratch)
        return True

    def store(self, key: str, product: Path) -> None:
        """Keep the files in the directory ``product`` under ``key``."""
        manifest = self._files(product)
        self.directory.mkdir(parents=True, exist_ok=True)
        with scratch_directory(self.directory / key) as scratch:
            _link_files(product, manifest, scratch / "files")
            (scratch / "manifest.json").write_text(json.dumps(manifest, sort_keys=True))
            with self._lock:
                shutil.rmtree(self.directory / key, ignore_errors=True)
                scratch.rename(self.directory / key)

    def prune(self, keys: Iterable[str]) -> None:
        """Forget all products but those of ``keys``."""
        keep = set(keys)
        for entry in list(self.directory.iterdir()):
            if entry.name not in keep:
                shutil.rmtree(entry)

    def _code_checksum(self, command: str) -> str:
        """The checksum of the code of this package that a command runs.

        The command line only passes arguments on, which the key holds already.
        """
        name = re.match(r"madminer-workflow (\w+) ", command)
        step = graph.STEPS.get(name[1]) if name else None
        module = step.module if step else None
        if module not in self._code:
            self._code[module] = code_checksum(self._package, module)
        return self._code[module]

    def _content(self, path: str) -> str:
        place = Path(path)
        if place.suffix in (".yml", ".yaml") and place.is_file():
            # An analysis file stands for its cards and models, too.
            return " ".join(map(self._checksum, [place, *mentioned_files(place)]))
        return self._checksum(place) if place.exists() else path

    def _checksum(self, place: Path) -> str:
        if place.is_dir():
            files = [file for file in _files_below(place) if "__pycache__" not in file.parts]
            return joint_checksum(place, files, self._file_checksum)
        return self._file_checksum(place)

    def _files(self, directory: Path) -> dict[str, str]:
        return {
            file.relative_to(directory).as_posix(): self._file_checksum(file)
            for file in _files_below(directory)
        }

    def _file_checksum(self, file: Path) -> str:
        # Within one run a large file is read once, although several steps depend on it.
        status = file.stat()
        identity = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        if identity not in self._known:
            self._known[identity] = checksum(file)
        return self._known[identity]


@contextmanager
def scratch_directory(target: Path) -> Iterator[Path]:
    """An empty directory beside ``target``, removed in the end unless it was moved away."""
    # Not tempfile's: its private mode would stay with what is moved into place.
    scratch = target.parent / f".{target.name}.{uuid.uuid4().hex}"
    scratch.mkdir(parents=True)
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def replace_product(target: Path, product: Path) -> None:
    """Move everything in ``product`` into ``target`` instead of what was there, except NOTES."""
    target.mkdir(parents=True, exist_ok=True)
    with scratch_directory(target) as replaced:
        for old in target.iterdir():
            if old.name != NOTES:
                old.rename(replaced / old.name)
        for new in product.iterdir():
            new.rename(target / new.name)


def replace_path(command: str, path: Path, replacement: str) -> str:
    """``command`` with every occurrence of ``path``, also as the start of a longer path."""
    before, *after = command.split(str(path))
    longer = re.compile(r"[\w.-]")
    return before + "".join(
        (str(path) if longer.match(rest) else replacement) + rest for rest in after
    )


def remove_scratch(directory: Path) -> None:
    """Remove scratch directories that a killed engine left anywhere below ``directory``."""
    for path in list(directory.rglob(".*")):
        if _SCRATCH.fullmatch(path.name) and path.is_dir():
            shutil.rmtree(path, ignore_errors=True)


def _files_below(directory: Path) -> list[Path]:
    return sorted(
        path
        for path in directory.rglob("*")
        if path.is_file() and NOTES not in path.relative_to(directory).parts
    )


def _link_files(source: Path, names: Iterable[str], destination: Path) -> None:
    for name in names:
        (destination / name).parent.mkdir(parents=True, exist_ok=True)
        link(source / name, destination / name)
