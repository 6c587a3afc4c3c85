"""Hostile archives: tar, gzip, npz, HDF5 that would write elsewhere, fill disk or memory, or lie.

Each is made of the real product, so that all that is wrong with it is the hostile part. The steps
that read archives must refuse them, or make of them what they make of the real one.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import h5py
import numpy as np

from tests.campaign import damages
from tests.campaign.damages import Damage
from tests.campaign.products import Case, Target

GiB = 2**30
Member = tuple[tarfile.TarInfo, bytes]


# tar --------------------------------------------------------------------------------------------
def _members(path: Path) -> list[Member]:
    with tarfile.open(path) as tar:
        return [(m, f.read() if (f := tar.extractfile(m)) else b"") for m in tar]


def _written(members: list[Member], raw: bytes = b"", end: bytes = b"\x00" * 1024) -> bytes:
    """The bytes of a tar; ``raw`` comes before its end."""
    out = io.BytesIO()
    for info, data in members:
        out.write(info.tobuf(tarfile.PAX_FORMAT, errors="surrogateescape"))
        out.write(data + b"\x00" * (-len(data) % 512))
    return out.getvalue() + raw + end


def member(name: str, data: bytes = b"stray", **fields: object) -> Member:
    """A member of an archive."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for key, value in fields.items():
        setattr(info, key, value)
    return info, data


def _with(*more: Callable[[Path], Member], first: bool = False) -> Damage:
    """The real archive with further members."""

    def damage(path: Path, rng: Random) -> None:
        new = [make(path) for make in more]
        real = _members(path)
        path.write_bytes(gzip.compress(_written([*new, *real] if first else [*real, *new]), 1))

    return damage


def _raw(make: Callable[[], bytes]) -> Damage:
    """The real archive with raw blocks at its end."""
    return lambda path, rng: (
        path.write_bytes(gzip.compress(_written(_members(path), make()), 1)),
        None,
    )[1]


def _gz(change: Callable[[bytes, bytes], bytes]) -> Damage:
    """What is made of the bytes of the real archive, compressed and not."""

    def damage(path: Path, rng: Random) -> None:
        data = path.read_bytes()
        path.write_bytes(change(data, gzip.decompress(data)))

    return damage


def outside(path: Path) -> str:
    """A file outside of all that a step may write to, but inside of the place of the case."""
    return str(path.parent.parent / "outside")


def header(name: str, kind: bytes, size: int, rest: bytes = b"") -> bytes:
    """A raw header, whose checksum is right; ``rest`` is what follows the magic's field."""
    field = (
        b"\x80" + size.to_bytes(11, "big", signed=True)
        if size >= 8**11 or size < 0
        else b"%011o\x00" % size
    )
    block = name.encode()[:100].ljust(100, b"\x00") + b"0000644\x00" + b"0000000\x00" * 2 + field
    block += b"00000000000\x00" + b" " * 8 + kind + b"\x00" * 100
    block = (block + (rest or b"ustar\x0000")).ljust(512, b"\x00")
    return block[:148] + b"%06o\x00 " % sum(block) + block[156:]


def pax(records: dict[str, str], kind: bytes = b"x") -> bytes:
    """A header of the PAX format with records."""
    body = b""
    for key, value in records.items():
        text = f" {key}={value}\n".encode()
        length = len(text) + len(str(len(text)))
        length = len(text) + len(str(length))
        body += str(length).encode() + text
    return header("pax", kind, len(body)) + body.ljust(-(-len(body) // 512) * 512, b"\x00")


def sparse_old() -> bytes:
    """GNU's old sparse file: a terabyte of nothing."""
    rest = b"ustar  \x00".ljust(386 - 257, b"\x00")
    rest += b"%011o\x00%011o\x00" % (0, 512) + b"\x00" * 24 * 3 + b"\x00"
    rest += b"\x80" + (2**40).to_bytes(11, "big")
    return header("sparse", b"S", 512, rest) + b"x" * 512


def sparse_pax(version: str) -> bytes:
    """Sparse files of the PAX formats, of a hundred gigabytes."""
    size = str(100 * GiB)
    if version == "0.0":
        records = {"GNU.sparse.size": size, "GNU.sparse.numblocks": "1"}
        records |= {"GNU.sparse.offset": "0", "GNU.sparse.numbytes": "512"}
        return pax(records) + header("sparse", b"0", 512) + b"x" * 512
    if version == "0.1":
        records = {"GNU.sparse.size": size, "GNU.sparse.numblocks": "1"}
        records |= {"GNU.sparse.map": "0,512", "GNU.sparse.name": "sparse"}
        return pax(records) + header("sparse", b"0", 512) + b"x" * 512
    records = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": size}
    body = b"1\n0\n512\n".ljust(512, b"\x00") + b"x" * 512
    return pax({**records, "GNU.sparse.name": "sparse"}) + header("sparse", b"0", len(body)) + body


def zeros(size: int) -> bytes:
    """So many zeros, as concatenated gzip streams."""
    block = gzip.compress(bytes(64 * 2**20), 9)
    return block * (size // (64 * 2**20))


def _bomb(path: Path, rng: Random) -> None:
    real = _written(_members(path), header("zeros", b"0", 6 * GiB), end=b"")
    path.write_bytes(gzip.compress(real, 1) + zeros(6 * GiB) + gzip.compress(bytes(1024)))


def _claimed(path: Path, rng: Random) -> None:
    """One of the real files, followed by gigabytes of zeros."""
    (first, data), *rest = _members(path) or [member("a")]
    first.size = len(data) + 6 * GiB
    blocks = _written(rest, first.tobuf(tarfile.PAX_FORMAT) + data, end=b"")
    path.write_bytes(gzip.compress(blocks, 1) + zeros(6 * GiB))


TAR: dict[str, Damage] = {
    "traversal": _with(lambda path: member("../../../../outside")),
    "traversal-inside": _with(lambda path: member("a/../../../../outside")),
    "absolute": _with(lambda path: member(outside(path))),
    "symlink": _with(lambda path: member("l", b"", type=tarfile.SYMTYPE, linkname="/etc/passwd")),
    "through-symlink": _with(
        lambda path: member("l", b"", type=tarfile.SYMTYPE, linkname=str(path.parent.parent)),
        lambda path: member("l/outside"),
    ),
    "symlink-replaced": _with(
        lambda path: member("l", b"", type=tarfile.SYMTYPE, linkname=outside(path)),
        lambda path: member("l"),
        first=True,
    ),
    "hard-link": _with(lambda path: member("l", b"", type=tarfile.LNKTYPE, linkname="/etc/passwd")),
    "hard-link-up": _with(
        lambda path: member("l", b"", type=tarfile.LNKTYPE, linkname="../../../x")
    ),
    "character-device": _with(
        lambda path: member("d", b"", type=tarfile.CHRTYPE, devmajor=1, devminor=5)
    ),
    "block-device": _with(
        lambda path: member("d", b"", type=tarfile.BLKTYPE, devmajor=8, devminor=0)
    ),
    "fifo": _with(lambda path: member("f", b"", type=tarfile.FIFOTYPE)),
    "fifo-first": _with(lambda path: member("f", b"", type=tarfile.FIFOTYPE), first=True),
    "unknown-kind": _with(lambda path: member("z", type=b"Z")),
    "set-uid": _with(lambda path: member("../outside", mode=0o4777)),
    "directory-without-rights": _with(
        lambda path: member("d", b"", type=tarfile.DIRTYPE, mode=0),
        lambda path: member("d/../../o"),
    ),
    "file-as-directory": _with(lambda path: member("a"), lambda path: member("a/b")),
    "directory-as-file": _with(
        lambda path: member("a", b"", type=tarfile.DIRTYPE), lambda path: member("a")
    ),
    "empty-name": _with(lambda path: member("")),
    "dot": _with(lambda path: member(".")),
    "dots": _with(lambda path: member("..")),
    "long-name": _with(lambda path: member("n" * 100_000)),
    "deep-name": _with(lambda path: member("d/" * 3000 + "x")),
    "surrogates": _with(lambda path: member("\udcff\udcfe")),
    "nul-name": _raw(lambda: pax({"path": "a\x00b"}) + header("x", b"0", 0)),
    "pax-traversal": _raw(lambda: pax({"path": "../../../outside"}) + header("x", b"0", 0)),
    "pax-global": _raw(lambda: pax({"path": "../../../o"}, b"g") + header("x", b"0", 0)),
    "pax-size": _raw(lambda: pax({"size": str(2**50)}) + header("x", b"0", 0)),
    "pax-negative-size": _raw(lambda: pax({"size": "-512"}) + header("x", b"0", 0)),
    "pax-text-size": _raw(lambda: pax({"size": "many"}) + header("x", b"0", 0)),
    "pax-broken": _raw(lambda: header("pax", b"x", 512) + b"999999 path=".ljust(512, b"x")),
    "pax-zero-length": _raw(lambda: header("pax", b"x", 512) + b"0 path=x\n".ljust(512, b"\x00")),
    "pax-huge": _raw(lambda: header("pax", b"x", 2**40)),
    "long-name-huge": _raw(lambda: header("long", b"L", 2**40)),
    "negative-size": _raw(lambda: header("x", b"0", -512)),
    "terabytes": _raw(lambda: header("x", b"0", 2**43)),
    "sparse-old": _raw(sparse_old),
    "sparse-0.0": _raw(lambda: sparse_pax("0.0")),
    "sparse-0.1": _raw(lambda: sparse_pax("0.1")),
    "sparse-1.0": _raw(lambda: sparse_pax("1.0")),
    "volume": _raw(lambda: header("x", b"M", 0) + header("x", b"V", 0)),
    "wrong-checksum": _raw(lambda: header("x", b"0", 0)[:150] + b"9" * 6 + bytes(356)),
    "garbage-after": _raw(lambda: b"\xaa" * 2048),
    "bomb": _bomb,
    "claimed-size": _claimed,
    "many": _raw(lambda: b"".join(header(f"m{i}", b"0", 0) for i in range(150_000))),
    "many-directories": _raw(lambda: b"".join(header(f"d{i}/", b"5", 0) for i in range(150_000))),
    "twice": _gz(lambda data, tar: data + data),
    "second-archive": _gz(
        lambda data, tar: data + gzip.compress(_written([member("../../../outside")]))
    ),
    "twisted": _gz(lambda data, tar: gzip.compress(data)),
    "wrong-crc": _gz(lambda data, tar: data[:-8] + b"\x00\x00\x00\x00" + data[-4:]),
    "wrong-length": _gz(lambda data, tar: data[:-4] + b"\xff\xff\xff\x7f"),
    "trailing-garbage": _gz(lambda data, tar: data + b"garbage" * 100),
    "plain-tar": _gz(lambda data, tar: tar),
    "bz2": _gz(lambda data, tar: bz2.compress(tar)),
    "xz": _gz(lambda data, tar: lzma.compress(tar)),
    "zlib": _gz(lambda data, tar: zlib.compress(tar)),
    "only-zeros": _gz(lambda data, tar: zeros(4 * GiB)),
    "gzip-name": _gz(lambda data, tar: b"\x1f\x8b\x08\x08" + data[4:10] + b"n" * 10**6),
    "truncated-header": _gz(lambda data, tar: gzip.compress(tar[:300])),
}


def _duplicate(path: Path, rng: Random) -> None:
    """A member a second time, with other content."""
    real = _members(path) or [member("a")]
    info, data = rng.choice(real)
    other = data[: len(data) // 2]
    info_again = tarfile.TarInfo(info.name)
    info_again.size = len(other)
    path.write_bytes(gzip.compress(_written([*real, (info_again, other)]), 1))


TAR["duplicate"] = _duplicate


# npz --------------------------------------------------------------------------------------------
def _npz(change: Callable[[zipfile.ZipFile, str, bytes], None]) -> Damage:
    """The real archive, one member of it as ``change`` writes it."""

    def damage(path: Path, rng: Random) -> None:
        with zipfile.ZipFile(path) as old:
            real = {name: old.read(name) for name in old.namelist()}
        name = rng.choice(sorted(n for n in real if n != "content.npy"))
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
            for other, data in real.items():
                if other != name:
                    new.writestr(other, data)
            change(new, name, real[name])

    return damage


def npy(shape: str, kind: str = "'<f8'", version: bytes = b"\x01\x00") -> bytes:
    """The header of an array of any shape."""
    text = f"{{'descr': {kind}, 'fortran_order': False, 'shape': {shape}}}".encode()
    text = text.ljust(-(-(len(text) + 11) // 64) * 64 - 11) + b"\n"
    return b"\x93NUMPY" + version + struct.pack("<H", len(text)) + text


def _streamed(file: zipfile.ZipFile, name: str, head: bytes, size: int) -> None:
    block = bytes(16 * 2**20)
    with file.open(name, "w", force_zip64=True) as out:
        out.write(head)
        for _ in range(size // len(block)):
            out.write(block)


def _flag(at: int, value: int) -> Damage:
    """A field of every header in the directory of the archive, changed."""

    def damage(path: Path, rng: Random) -> None:
        data = bytearray(path.read_bytes())
        start = data.find(b"PK\x01\x02")
        while start >= 0:
            data[start + at : start + at + 2] = struct.pack("<H", value)
            start = data.find(b"PK\x01\x02", start + 4)
        path.write_bytes(data)

    return damage


def _more(name: str, data: bytes = b"stray") -> Damage:
    def damage(path: Path, rng: Random) -> None:
        with zipfile.ZipFile(path, "a") as file:
            file.writestr(name, data)

    return damage


def _many(path: Path, rng: Random) -> None:
    with zipfile.ZipFile(path, "a") as file:
        for i in range(20_000):
            file.writestr(f"a{i}.npy", b"")


NPZ: dict[str, Damage] = {
    "traversal": _more("../../../outside.npy"),
    "absolute": _more("/outside.npy"),
    "no-array": _more("readme.txt"),
    "empty-array": _more("a.npy", b""),
    "odd-name": _more("\n\t.npy", npy("()") + bytes(8)),
    "twice": _npz(lambda f, n, d: (f.writestr(n, d), f.writestr(n, d[:-8]))[0]),
    "claims-terabytes": _npz(lambda f, n, d: f.writestr(n, npy("(1099511627776,)") + bytes(64))),
    "claims-overflow": _npz(lambda f, n, d: f.writestr(n, npy(f"({2**62}, {2**62})") + bytes(64))),
    "negative-shape": _npz(lambda f, n, d: f.writestr(n, npy("(-5,)") + bytes(64))),
    "text-shape": _npz(lambda f, n, d: f.writestr(n, npy("'x'") + bytes(64))),
    "deep-header": _npz(lambda f, n, d: f.writestr(n, npy("(" * 900 + ")" * 900) + bytes(64))),
    "code-header": _npz(lambda f, n, d: f.writestr(n, npy("__import__('os').getcwd()"))),
    "odd-type": _npz(lambda f, n, d: f.writestr(n, npy("(1,)", "'O'") + bytes(64))),
    "nested-type": _npz(lambda f, n, d: f.writestr(n, npy("(1,)", "[('a','O')]") + bytes(64))),
    "version": _npz(lambda f, n, d: f.writestr(n, npy("(1,)", version=b"\x09\x00") + bytes(64))),
    "header-length": _npz(lambda f, n, d: f.writestr(n, b"\x93NUMPY\x02\x00\xff\xff\xff\x7f")),
    "bomb": _npz(lambda f, n, d: _streamed(f, n, npy(f"({3 * GiB // 8},)"), 3 * GiB)),
    "encrypted": _flag(8, 1),
    "unknown-compression": _flag(10, 98),
    "size-lie": _flag(24, 0),
    "offset-lie": _flag(42, 65535),
    "many": _many,
    "no-directory": lambda path, rng: (path.write_bytes(path.read_bytes()[:-60]), None)[1],
    "comment": lambda path, rng: (path.write_bytes(path.read_bytes() + b"PK\x05\x06" * 99), None)[
        1
    ],
    "in-front": lambda path, rng: (path.write_bytes(b"#!/bin/sh\n" + path.read_bytes()), None)[1],
    "a-tar": lambda path, rng: (path.write_bytes(_written([member("../../outside")])), None)[1],
}


# HDF5 -------------------------------------------------------------------------------------------
def _h5(change: Callable[[h5py.File, str], None]) -> Damage:
    def damage(path: Path, rng: Random) -> None:
        with h5py.File(path, "a") as file:
            name = rng.choice(["observables/names", "samples/observations"])
            name = name if name in file else "benchmarks/values"
            change(file, name)

    return damage


def _instead(file: h5py.File, name: str) -> str:
    del file[name]
    return name


def _compressed(file: h5py.File, name: str) -> None:
    shape = (2**29,)
    data = file.create_dataset(
        _instead(file, name), shape, "f8", chunks=(2**22,), compression="gzip"
    )
    data[: 2**22] = 0.0


def _virtual(file: h5py.File, name: str) -> None:
    layout = h5py.VirtualLayout(shape=(2**33,), dtype="f8")
    layout[:8] = h5py.VirtualSource("elsewhere.h5", "x", shape=(8,))
    file.create_virtual_dataset(_instead(file, name), layout)


def _nested(file: h5py.File, name: str) -> None:
    group = file.create_group(_instead(file, name))
    for _ in range(2000):
        group = group.create_group("g")


def _recursive(file: h5py.File, name: str) -> None:
    group = file.create_group(_instead(file, name))
    group["again"] = group


HDF5: dict[str, Damage] = {
    "external-storage": _h5(
        lambda f, n: f.create_dataset(_instead(f, n), (8,), "u1", external=[("/etc/passwd", 0, 8)])
    ),
    "external-link": _h5(
        lambda f, n: f.__setitem__(_instead(f, n), h5py.ExternalLink("/etc/passwd", "/x"))
    ),
    "virtual": _h5(_virtual),
    "compressed-bomb": _h5(_compressed),
    "fill-value": _h5(
        lambda f, n: f.create_dataset(_instead(f, n), (2**36,), "f8", chunks=(8,), fillvalue=1.0)
    ),
    "nested": _h5(_nested),
    "recursive": _h5(_recursive),
    "references": _h5(lambda f, n: f.create_dataset(_instead(f, n), (4,), dtype=h5py.ref_dtype)),
    "long-text": _h5(lambda f, n: f.create_dataset(_instead(f, n), data="x" * 10**7)),
    "no-text": _h5(
        lambda f, n: f.create_dataset(_instead(f, n), data=np.array([b"\xff\xfe", b"\x80"]))
    ),
    "compound": _h5(lambda f, n: f.create_dataset(_instead(f, n), data=np.zeros(4, dtype="f8,i4"))),
    "null-space": _h5(lambda f, n: f.create_dataset(_instead(f, n), data=h5py.Empty("f8"))),
    "user-block": lambda path, rng: (path.write_bytes(bytes(512) + path.read_bytes()), None)[1],
    "a-pickle": damages.NPZ["a-pickle"],
}

DOORS = {
    **{("generate", "models", ""): TAR, ("pythia", "processes", ""): TAR},
    **{("delphes", "events", ""): TAR, ("evaluating", "models", "counts"): TAR},
    **{("plotting", "results", ""): TAR, ("training", "samples", "sally"): NPZ},
    **{("plotting", "toys", ""): NPZ, ("evaluating", "observed", "counts"): HDF5},
    **{("combine", "data", ""): HDF5, ("sampling", "data", ""): HDF5},
}
"""Where archives come in, and the ones that come."""


def cases() -> Iterator[Case]:
    """Every archive at two of the doors for its kind."""
    rng = Random(11)
    for kind, table in (("tar", TAR), ("npz", NPZ), ("h5", HDF5)):
        doors = [
            Target(step, option, {f"{kind}-{name}": d for name, d in table.items()}, method)
            for (step, option, method), at_door in DOORS.items()
            if at_door is table
        ]
        for name in table:
            for door in rng.sample(doors, 2):
                yield Case(door, f"{kind}-{name}")
