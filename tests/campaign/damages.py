"""Damage to files, by what they are: bytes, JSON, arrays, HDF5, networks, events, archives.

A damage changes a file in place, by chance of a given generator. What it makes of a file is no
product of any step, or the same product in other words; only those in ``PLAUSIBLE`` may leave a
product of another analysis, which no step can tell from its own.
"""

from __future__ import annotations

import json
import math
import os
import pickle
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import Any

import h5py
import numpy as np

from madminer_workflow.files import pack, unpack
from madminer_workflow.madminer_file import SHIFTED

Damage = Callable[[Path, Random], None]
PLAUSIBLE = ("text-path", "text-surrogate", "list-empty", "event-gone")


def _bytes(change: Callable[[bytes, Random], bytes]) -> Damage:
    return lambda path, rng: (path.write_bytes(change(path.read_bytes(), rng)), None)[1]


def _overwritten(data: bytes, new: bytes, at: int) -> bytes:
    return data[:at] + new + data[at + len(new) :]


BYTES: dict[str, Damage] = {
    "empty": _bytes(lambda data, rng: b""),
    "half": _bytes(lambda data, rng: data[: len(data) // 2]),
    "without-end": _bytes(lambda data, rng: data[: -rng.randint(3, 20)]),
    "first-bytes": _bytes(lambda data, rng: _overwritten(data, rng.randbytes(8), 0)),
    "middle": _bytes(lambda data, rng: _overwritten(data, rng.randbytes(40), len(data) // 2)),
    "garbage": _bytes(lambda data, rng: rng.randbytes(3000)),
    "nul": _bytes(lambda data, rng: b"\x00" * len(data)),
    "text": _bytes(lambda data, rng: b"<html><body>404 Not Found</body></html>\n"),
    "shifted": _bytes(lambda data, rng: b"\n" + data[:-1]),
}


# JSON -------------------------------------------------------------------------------------------
def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all that is inside a value."""
    inside = value.items() if isinstance(value, dict) else []
    inside = enumerate(value) if isinstance(value, list) else inside
    return [p for key, child in inside for p in ((*path, key), *places(child, (*path, key)))]


def _json(change: Callable[[Any, Random], Any]) -> Damage:
    def damage(path: Path, rng: Random) -> None:
        path.write_text(json.dumps(change(json.loads(path.read_text()), rng)))

    return damage


def _at(data: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        data = data[key]
    return data


def _put(kind: type | tuple[type, ...], new: Any) -> Damage:
    """Another value in the place of one of some kind."""

    def change(data: Any, rng: Random) -> Any:
        fits = [p for p in places(data) if type(_at(data, p)) in np.atleast_1d(kind)]
        if not fits:
            return new
        path = rng.choice(fits)
        _at(data, path[:-1])[path[-1]] = new
        return data

    return _json(change)


def _drop(data: Any, rng: Random) -> Any:
    keys = [p for p in places(data) if isinstance(p[-1], str)]
    path = rng.choice(keys or [()])
    if not path:
        return {}
    del _at(data, path[:-1])[path[-1]]
    return data


NUMBER = (int, float)
JSON: dict[str, Damage] = {
    **{f"drop-{i}": _json(_drop) for i in range(3)},
    "number-text": _put(NUMBER, "x"),
    "number-null": _put(NUMBER, None),
    "number-list": _put(NUMBER, [[1]]),
    "number-nan": _put(NUMBER, math.nan),
    "number-infinite": _put(NUMBER, -math.inf),
    "number-true": _put(NUMBER, True),
    "number-long": _put(NUMBER, 10**400),
    "text-number": _put(str, 7),
    "text-surrogate": _put(str, "\ud800"),
    "text-path": _put(str, "../../../outside"),
    "list-mapping": _put(list, {"a": 1}),
    "list-empty": _put(list, []),
    "mapping-list": _put(dict, [1]),
    "mapping-null": _put(dict, None),
    "top-list": _json(lambda data, rng: [data]),
    "top-null": _json(lambda data, rng: None),
    "deep": _bytes(lambda data, rng: b"[" * 100_000),
    "latin": _bytes(lambda data, rng: data.replace(b'"', b'"\xe9', 3)),
    "twice": _bytes(lambda data, rng: data + data),
    "comma": _bytes(lambda data, rng: data.replace(b",", b",,", 1) + b"}"),
    "blanks": _bytes(lambda data, rng: b"\n\n  " + data + b"  \n\n"),
    "compact": _json(lambda data, rng: data),
}


# Arrays -----------------------------------------------------------------------------------------
class Payload:
    """Executes a command when it is unpickled."""

    def __init__(self, command: str) -> None:
        """The command."""
        self.command = command

    def __reduce__(self) -> tuple[Any, ...]:
        """What to call."""
        return os.system, (self.command,)


def payload(path: Path) -> bytes:
    """A pickle that makes the canary of the place that ``path`` is in."""
    return pickle.dumps(Payload(f"touch {path.parent.parent / 'canary'}"))


def _one(value: float) -> Callable[[np.ndarray, Random], np.ndarray]:
    """One number of an array, replaced."""

    def change(array: np.ndarray, rng: Random) -> np.ndarray:
        array = array.astype(float)
        array.flat[rng.randrange(array.size)] = value
        return array

    return change


ARRAY: dict[str, Callable[[np.ndarray, Random], np.ndarray]] = {
    "shorter": lambda a, rng: a[:-1] if a.ndim else np.stack([a, a]),
    "none": lambda a, rng: a[:0] if a.ndim else np.empty(0),
    "another-axis": lambda a, rng: a[None],
    "flat": lambda a, rng: np.append(a.ravel(), a.ravel()[:1]),
    "nan": _one(math.nan),
    "infinite": _one(math.inf),
    "complex": lambda a, rng: a.astype(complex) + 1j,
    "texts": lambda a, rng: np.full(a.shape, b"x"),
    "all-nan": lambda a, rng: np.full(a.shape, math.nan),
}


def _is_numeric(array: np.ndarray) -> bool:
    return array.dtype.kind in "iufb" and array.size > 0


def _npz(change: Callable[[dict[str, np.ndarray], Random], None]) -> Damage:
    def damage(path: Path, rng: Random) -> None:
        with np.load(path) as file:
            arrays = dict(file)
        change(arrays, rng)
        with path.open("wb") as file:
            np.savez(file, **arrays)

    return damage


def _in_arrays(change: Callable[[np.ndarray, Random], np.ndarray]) -> Damage:
    def in_one(arrays: dict[str, np.ndarray], rng: Random) -> None:
        name = rng.choice(sorted(name for name, array in arrays.items() if _is_numeric(array)))
        arrays[name] = change(arrays[name], rng)

    return _npz(in_one)


def _without(arrays: dict[str, np.ndarray], rng: Random) -> None:
    del arrays[rng.choice(sorted(arrays))]


def _pickled_npz(path: Path, rng: Random) -> None:
    with np.load(path) as file:
        arrays = dict(file)
    name = rng.choice(sorted(arrays))
    objects = np.empty(1, dtype=object)
    objects[0] = Payload(f"touch {path.parent.parent / 'canary'}")
    arrays[name] = objects
    with path.open("wb") as out:
        np.savez(out, **arrays)


NPZ: dict[str, Damage] = {
    **{f"without-{i}": _npz(_without) for i in range(2)},
    **{f"array-{name}": _in_arrays(change) for name, change in ARRAY.items()},
    "pickled": _pickled_npz,
    "a-pickle": lambda path, rng: (path.write_bytes(payload(path)), None)[1],
}


def _npy(change: Callable[[np.ndarray, Random], np.ndarray]) -> Damage:
    def damage(path: Path, rng: Random) -> None:
        array = change(np.load(path), rng)
        with path.open("wb") as file:
            np.save(file, array)

    return damage


NPY: dict[str, Damage] = {
    **{f"array-{name}": _npy(change) for name, change in ARRAY.items()},
    "a-pickle": NPZ["a-pickle"],
}


# HDF5 -------------------------------------------------------------------------------------------
def _datasets(file: h5py.File) -> list[str]:
    names: list[str] = []
    file.visit(names.append)
    return sorted(name for name in names if isinstance(file.get(name), h5py.Dataset))


def _h5(change: Callable[[h5py.File, Random], None]) -> Damage:
    def damage(path: Path, rng: Random) -> None:
        with h5py.File(path, "a") as file:
            change(file, rng)

    return damage


def _in_dataset(change: Callable[[np.ndarray, Random], Any], within: str = "") -> Damage:
    def in_one(file: h5py.File, rng: Random) -> None:
        names = [name for name in _datasets(file) if name.startswith(within)]
        fits = [n for n in names if _is_numeric(np.asarray(file[n][()]))]
        name = rng.choice(fits)
        new = change(np.asarray(file[name][()]), rng)
        del file[name]
        file[name] = new

    return _h5(in_one)


def _in_weights(change: Callable[[np.ndarray], np.ndarray]) -> Damage:
    def in_them(file: h5py.File, rng: Random) -> None:
        name = "samples/weights" if "samples/weights" in file else "morphing/morphing_matrix"
        new = change(file[name][()])
        del file[name]
        file[name] = new

    return _h5(in_them)


def _without_dataset(file: h5py.File, rng: Random) -> None:
    del file[rng.choice(_datasets(file))]


def _external(file: h5py.File, rng: Random) -> None:
    name = rng.choice(_datasets(file))
    del file[name]
    file[name] = h5py.ExternalLink("/etc/passwd", "/x")


def _soft_loop(file: h5py.File, rng: Random) -> None:
    name = rng.choice(_datasets(file))
    del file[name]
    file[name] = h5py.SoftLink(f"/{name}")


def _group(file: h5py.File, rng: Random) -> None:
    name = rng.choice(_datasets(file))
    del file[name]
    file.create_group(name)


def _claimed(file: h5py.File, rng: Random) -> None:
    name = rng.choice([n for n in _datasets(file) if file[n].ndim])
    kind = file[name].dtype
    del file[name]
    file.create_dataset(name, shape=(2**40,), dtype=kind, chunks=(1024,))


HDF5: dict[str, Damage] = {
    **{f"without-{i}": _h5(_without_dataset) for i in range(3)},
    **{f"dataset-{name}": _in_dataset(change) for name, change in ARRAY.items()},
    "weights-nan": _in_weights(
        lambda w: np.where(np.arange(w.size).reshape(w.shape) == 1, np.nan, w)
    ),
    "weights-zero": _in_weights(np.zeros_like),
    "weights-huge": _in_weights(lambda w: np.full_like(w, 1e300)),
    "weights-infinite": _in_weights(lambda w: np.full_like(w, np.inf)),
    "external-link": _h5(_external),
    "link-loop": _h5(_soft_loop),
    "group": _h5(_group),
    "claims-terabytes": _h5(_claimed),
}


def _in_shifted(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Damage:
    def in_one(file: h5py.File, rng: Random) -> None:
        place = f"{SHIFTED}/{rng.choice(sorted(file[SHIFTED]))}/{name}"
        new = change(file[place][()])
        del file[place]
        file[place] = new

    return _h5(in_one)


def _shifted_member(change: Callable[[h5py.Group, str], None]) -> Damage:
    return _h5(lambda file, rng: change(file[SHIFTED], rng.choice(sorted(file[SHIFTED]))))


def _gone(group: h5py.Group, name: str) -> None:
    del group[name]


def _renamed(group: h5py.Group, name: str) -> None:
    group.move(name, "nobody")


def _more(group: h5py.Group, name: str) -> None:
    group.copy(name, "nobody")


def _hollow(group: h5py.Group, name: str) -> None:
    del group[name]
    group.create_group(name)


SHIFTED_EVENTS: dict[str, Damage] = {
    **{f"shifted-{name}": _in_dataset(change, SHIFTED) for name, change in ARRAY.items()},
    "shifted-all-gone": _h5(lambda file, rng: _gone(file, SHIFTED)),
    "shifted-benchmark-gone": _shifted_member(_gone),
    "shifted-benchmark-renamed": _shifted_member(_renamed),
    "shifted-benchmark-more": _shifted_member(_more),
    "shifted-benchmark-hollow": _shifted_member(_hollow),
    "shifted-rows-beyond": _in_shifted("events", lambda rows: rows + 10**6),
    "shifted-rows-below": _in_shifted("events", lambda rows: rows - 10),
    "shifted-rows-twice": _in_shifted("events", np.zeros_like),
    "shifted-rows-back": _in_shifted("events", lambda rows: rows[::-1].copy()),
    "shifted-rows-of-fractions": _in_shifted("events", lambda rows: rows + 0.5),
    "shifted-places-beyond": _in_shifted("places", lambda places: places + 1.0),
    "shifted-places-back": _in_shifted("places", lambda places: places[::-1].copy()),
    "shifted-weights-huge": _in_shifted("weights", lambda w: np.full_like(w, 1e300)),
    "shifted-weights-zero": _in_shifted("weights", np.zeros_like),
    "shifted-weights-negative": _in_shifted("weights", lambda w: -w),
    "shifted-x-infinite": _in_shifted("observations", lambda x: np.full_like(x, np.inf)),
}


# Networks and events ----------------------------------------------------------------------------
def _state(change: Callable[[dict[str, Any], Random], Any]) -> Damage:
    def damage(path: Path, rng: Random) -> None:
        import torch

        state = dict(torch.load(path, weights_only=True))
        torch.save(change(state, rng), path)

    return damage


def _weight(new: Callable[[Any], Any]) -> Damage:
    def change(state: dict[str, Any], rng: Random) -> Any:
        name = rng.choice(sorted(state))
        return {**state, name: new(state[name])}

    return _state(change)


STATE: dict[str, Damage] = {
    "weight-nan": _weight(lambda w: w * math.nan),
    "weight-infinite": _weight(lambda w: w + math.inf),
    "weight-shape": _weight(lambda w: w[:-1] if w.ndim else w[None]),
    "weight-text": _weight(lambda w: "x"),
    "without-weight": _state(lambda s, rng: {k: s[k] for k in sorted(s)[1:]}),
    "more-weights": _state(lambda s, rng: {**s, "more": next(iter(s.values()))}),
    "list": _state(lambda s, rng: [1, 2]),
    "a-pickle": NPZ["a-pickle"],
}


def _lines(change: Callable[[list[str], Random], list[str]]) -> Damage:
    def damage(path: Path, rng: Random) -> None:
        path.write_text("\n".join(change(path.read_text().split("\n"), rng)) + "\n")

    return damage


def _weight_line(new: str) -> Damage:
    def change(lines: list[str], rng: Random) -> list[str]:
        i = rng.choice([i for i, line in enumerate(lines) if line.startswith("<wgt")])
        start, _, rest = lines[i].partition(">")
        return [*lines[:i], f"{start}> {new} </wgt>", *lines[i + 1 :]] if rest else lines

    return _lines(change)


def _particle_line(new: str) -> Damage:
    def change(lines: list[str], rng: Random) -> list[str]:
        i = rng.choice([i for i, line in enumerate(lines) if line.startswith("<event")]) + 3
        return [*lines[:i], new, *lines[i + 1 :]]

    return _lines(change)


def _first_event(lines: list[str]) -> tuple[int, int]:
    start = next(i for i, line in enumerate(lines) if line.startswith("<event"))
    return start, next(i for i, line in enumerate(lines) if line.startswith("</event")) + 1


LHE: dict[str, Damage] = {
    "weight-nan": _weight_line("nan"),
    "weight-infinite": _weight_line("inf"),
    "weight-huge": _weight_line("1e300"),
    "weight-text": _weight_line("x"),
    "weight-empty": _weight_line(""),
    "particle-text": _particle_line("what is this"),
    "particle-nan": _particle_line(" 21 1 1 2 501 502 nan nan nan nan nan 0. 9."),
    "particle-gone": _particle_line(""),
    "event-gone": _lines(lambda ls, rng: ls[: _first_event(ls)[0]] + ls[_first_event(ls)[1] :]),
    "event-twice": _lines(lambda ls, rng: ls[: _first_event(ls)[1]] + ls[_first_event(ls)[0] :]),
    "end-gone": _lines(lambda ls, rng: ls[: 2 * len(ls) // 3]),
    "no-header": _lines(lambda ls, rng: ls[_first_event(ls)[0] :]),
}

BY_SUFFIX: Mapping[str, Mapping[str, Damage]] = {
    ".json": JSON,
    ".npz": NPZ,
    ".npy": NPY,
    ".h5": HDF5,
    ".pt": STATE,
    ".lhe": LHE,
}


# Archives of these ------------------------------------------------------------------------------
def in_archive(member: str, damage: Damage | None) -> Damage:
    """A damage to the member of a ``.tar.gz`` whose name ends so; None removes it."""

    def change(path: Path, rng: Random) -> None:
        # Beside the file, for payloads to find the canary of its place.
        with tempfile.TemporaryDirectory() as scratch:
            directory = unpack(path, Path(scratch) / "root" / "files")
            found = sorted(p for p in directory.rglob("*") if p.name.endswith(member))
            chosen = rng.choice(found)
            if damage is None:
                chosen.unlink()
            else:
                damage(chosen, rng)
            pack(directory, path)

    return change


def members_of(files: Mapping[str, Mapping[str, Damage]]) -> dict[str, Damage]:
    """All damages of the members of an archive; its own bytes, too."""
    result = dict(BYTES)
    for member, damages in files.items():
        result[f"{member}-gone"] = in_archive(member, None)
        for name, damage in damages.items():
            result[f"{member}-{name}"] = in_archive(member, damage)
    return result
