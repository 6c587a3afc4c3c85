"""Compile a process once and integrate it at several parameter points.

Instructions: ``directory`` (the process), ``cores``, the relative ``accuracy`` of cross-sections
and ``points``: list of ``name``, ``card`` (path of a parameter card), ``seed`` and ``output``, the
directory that gets the state of the integration, with the place of every file kept.
"""

from __future__ import annotations

import math
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from glob import glob
from importlib import import_module
from typing import Any

KEPT = ("symfact.dat", "G*/results.dat", "G*/ftn26")

# Even small channels get a grid. MadGraph stops a channel where its error times chi^2 is small,
# perhaps by luck; the rounds that follow improve the channels that matter.
SURVEY = "--accuracy=0.02 --points=2000 --iterations=5 --gridpack=.true."
ROUNDS = 8
ITERATIONS = 4
GROWTH = 2.0
POINTS = (2000, 200000)


def main(settings: dict[str, Any]) -> None:
    """Follow the instructions."""
    directory = settings["directory"]
    sys.path.insert(0, os.path.join(directory, "bin"))
    madevent = import_module("internal.madevent_interface")
    os.chdir(directory)
    command = madevent.MadEventCmdShell(me_dir=directory, force_run=True)
    command.use_rawinput = False
    card = os.path.join("Cards", "param_card.dat")
    unchanged = os.stat(card)
    for point in settings["points"]:
        shutil.copyfile(point["card"], card)
        # A card of the same age: MadGraph recompiles everything where it finds a younger one.
        os.utime(card, ns=(unchanged.st_atime_ns, unchanged.st_mtime_ns))
        for grid in glob(os.path.join("SubProcesses", "P*", "G*")):
            shutil.rmtree(grid)
        command.random = point["seed"]
        command.exec_cmd(f"survey {point['name']} {SURVEY}", postcmd=False)
        improve(settings["accuracy"], settings["cores"])
        for pattern in KEPT:
            for state in glob(os.path.join("SubProcesses", "P*", pattern)):
                target = os.path.join(point["output"], state)
                os.makedirs(os.path.dirname(target), exist_ok=True)
                shutil.copyfile(state, target)
                if target.endswith("results.dat"):
                    forget_time(target)


def improve(accuracy: float, cores: int) -> None:
    """Integrate those channels again that dominate an error above ``accuracy``."""
    for offset in range(1, ROUNDS + 1):
        channels = {
            os.path.dirname(path): read_result(path)
            for path in sorted(glob(os.path.join("SubProcesses", "P*", "G*", "results.dat")))
        }
        total = math.fsum(value for value, _, _ in channels.values())
        goal = accuracy * total
        if not goal > 0.0 or math.fsum(e * e for _, e, _ in channels.values()) <= goal * goal:
            return
        # Each channel's share of the squared error goes as its error: the fewest points in all.
        errors = math.fsum(error for _, error, _ in channels.values())
        chosen = []
        for channel, (_, error, points) in channels.items():
            share = goal * math.sqrt(error / errors)
            if error > share:
                # Errors of badly adapted grids say little about how many points are needed.
                growth = min(1.2 * (error / share) ** 2, GROWTH)
                needed = growth * points / (2**ITERATIONS - 1)
                chosen.append((channel, offset, int(min(max(needed, POINTS[0]), POINTS[1]))))
        with ThreadPoolExecutor(cores) as pool:
            list(pool.map(lambda arguments: integrate(*arguments), chosen))


def forget_time(path: str) -> None:
    """Set the time that a channel took to zero: the same input gives the same bytes."""
    with open(path) as file:
        text = file.read()
    with open(path, "w") as file:
        file.write(re.sub(r"(<cumulated_time>)[^<]*", r"\1 0.0 ", text))


def read_result(path: str) -> tuple[float, float, int]:
    """Cross-section, error and number of points of a channel."""
    with open(path) as file:
        words = file.readline().split()
    return float(words[0]), float(words[1]), int(words[3])


def integrate(channel: str, offset: int, points: int) -> None:
    """Run a channel from its grid, with random numbers of its own."""
    if os.path.exists(os.path.join(channel, "ftn26")):
        os.replace(os.path.join(channel, "ftn26"), os.path.join(channel, "ftn25"))
    with open(os.path.join(channel, "moffset.dat"), "w") as file:
        file.write(f"{offset}\n")
    # Numbers of points and iterations, accuracy (never), grid (adjust), amplitude, helicities.
    number = os.path.basename(channel)[1:]
    settings = f"{points} {ITERATIONS} {ITERATIONS}\n1e-9\n2\n1\n0\n{number}\n"
    with open(os.path.join(channel, "improve.log"), "w") as log:
        subprocess.run(
            ["../madevent"], cwd=channel, input=settings.encode(), stdout=log, check=True
        )
