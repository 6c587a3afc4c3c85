"""Hostile archives: each is refused in one line, and leaves nothing behind."""

from __future__ import annotations

import gzip
import hashlib
import os
import random
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from madminer_workflow import archives
from madminer_workflow.errors import InputError
from madminer_workflow.files import member_of, pack, unpack

END = bytes(2 * 512)


def header(
    name: bytes,
    size: int | bytes = 0,
    kind: bytes = b"0",
    prefix: bytes = b"",
    linkname: bytes = b"",
) -> bytes:
    """A tar header that says whatever it is told to."""
    if isinstance(size, int):
        size = b"%011o\0" % size
    block = bytearray(512)
    parts = {0: name[:100], 100: b"0000644\0", 124: size, 156: kind, 157: linkname}
    parts |= {148: b" " * 8, 257: b"ustar\x0000", 345: prefix}
    for place, part in parts.items():
        block[place : place + len(part)] = part
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 512)


def member(name: bytes, data: bytes = b"evil", **options: bytes) -> bytes:
    return header(name, len(data), **options) + padded(data)


def record(key: bytes, value: bytes) -> bytes:
    length = len(key) + len(value) + 3
    while len(b"%d" % length) + len(key) + len(value) + 3 != length:
        length = len(b"%d" % length) + len(key) + len(value) + 3
    return b"%d %s=%s\n" % (length, key, value)


def extended(*records: tuple[bytes, bytes], kind: bytes = b"x") -> bytes:
    return member(b"pax", b"".join(record(*pair) for pair in records), kind=kind)


GOOD = member(b"good")
HOSTILE: dict[str, bytes] = {
    "outside": GOOD + member(b"../evil") + END,
    "outside in the middle": member(b"a/../../evil") + END,
    "outside by its prefix": member(b"evil", prefix=b"..") + END,
    "absolute": member(b"/tmp/evil") + END,
    "absolute by its prefix": member(b"evil", prefix=b"/tmp") + END,
    "outside by a long name": member(b"long", b"../evil\0", kind=b"L") + GOOD + END,
    "outside by an extended name": extended((b"path", b"../evil")) + GOOD + END,
    "hard link": header(b"evil", kind=b"1", linkname=b"/etc/passwd") + END,
    "symbolic link": header(b"evil", kind=b"2", linkname=b"..") + END,
    "link through a link": header(b"evil", kind=b"2", linkname=b"/") + member(b"evil/x") + END,
    "long link": member(b"long", b"/etc/passwd\0", kind=b"K") + GOOD + END,
    "character device": header(b"evil", kind=b"3") + END,
    "block device": header(b"evil", kind=b"4") + END,
    "pipe": header(b"evil", kind=b"6") + END,
    "contiguous file": header(b"evil", kind=b"7") + END,
    "unknown kind": header(b"evil", kind=b"Z") + END,
    "sparse of old": header(b"evil", 1 << 33, kind=b"S") + END,
    "sparse 0.0": extended((b"GNU.sparse.size", b"26000000000"), (b"GNU.sparse.numblocks", b"0"))
    + GOOD
    + END,
    "sparse 0.1": extended((b"GNU.sparse.map", b"0,1"), (b"GNU.sparse.size", b"26000000000"))
    + GOOD
    + END,
    "sparse 1.0": extended(
        *[(b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0")],
        *[(b"GNU.sparse.name", b"evil"), (b"GNU.sparse.realsize", b"26000000000")],
    )
    + GOOD
    + END,
    "sparse by a global header": extended((b"GNU.sparse.major", b"1"), kind=b"g") + GOOD + END,
    "name of all members": extended((b"path", b"evil"), kind=b"g") + GOOD + END,
    "size of all members": extended((b"size", b"9"), kind=b"g") + GOOD + END,
    "negative size": header(b"evil", b"\xff" * 12) + END,
    "negative extended size": extended((b"size", b"-4")) + GOOD + END,
    "size that is no number": header(b"evil", b"4x\0") + END,
    "extended size that is no number": extended((b"size", b"4e9")) + GOOD + END,
    "huge size": header(b"evil", b"\x80" + b"\xff" * 11) + END,
    "huge extended size": extended((b"size", b"9" * 18)) + GOOD + END,
    "huge extended header": header(b"pax", 1 << 30, kind=b"x") + END,
    "huge global header": header(b"pax", 1 << 30, kind=b"g") + END,
    "huge long name": header(b"long", 1 << 30, kind=b"L") + END,
    "records without a length": member(b"pax", b"path=evil\n", kind=b"x") + GOOD + END,
    "records with a wrong length": member(b"pax", b"99 path=evil\n", kind=b"x") + GOOD + END,
    "records of length 0": member(b"pax", b"0 path=evil\n", kind=b"x") + GOOD + END,
    "records without a value": member(b"pax", b"9 evil12\n", kind=b"x") + GOOD + END,
    "nothing after an extended header": extended((b"path", b"evil")),
    "twice": GOOD + GOOD + END,
    "twice by another way": GOOD + member(b"./good") + END,
    "a file as a directory": GOOD + member(b"good/evil") + END,
    "a directory as a file": member(b"good/evil") + GOOD + END,
    "directory with content": header(b"evil/", 4, kind=b"5") + padded(b"evil") + END,
    "line feed in a name": member(b"a\nerror: b") + END,
    "escape in a name": member(b"\x1b[2J") + END,
    "zero in an extended name": extended((b"path", b"a\0b")) + GOOD + END,
    "separator of lines in a name": member("a\u2028b".encode()) + END,
    "no text for a name": member(b"\xff\xfe") + END,
    "surrogate in a name": extended((b"path", b"\xed\xa0\x80")) + GOOD + END,
    "name too long for a file": extended((b"path", b"a" * 256)) + GOOD + END,
    "name too long": extended((b"path", b"/".join([b"a" * 200] * 10))) + GOOD + END,
    "too deep": extended((b"path", b"a/" * 100 + b"a")) + GOOD + END,
    "wrong checksum": b"x" + GOOD[1:] + END,
    "no archive": b"no archive",
    "random bytes": random.Random(1).randbytes(4096),
    "empty": b"",
    "without end": GOOD,
    "with half an end": GOOD + END[:512],
    "broken off in a header": GOOD[:100],
    "broken off in a member": GOOD[:514],
    "broken off in the padding": GOOD[:-100],
    "going on after the end": GOOD + END + b"evil",
    "members after the end": GOOD + END + member(b"evil") + END,
}


def refused(archive: Path, directory: Path) -> str:
    """The line in which unpacking refuses an archive, of which nothing is left."""
    before = sorted(directory.parent.rglob("*"))
    with pytest.raises(InputError) as error:
        unpack(archive, directory)
    directory.rmdir()
    assert sorted(directory.parent.rglob("*")) == before
    message = str(error.value)
    assert message.startswith(f"{archive}: cannot be unpacked (")
    assert message.isprintable()
    assert len(message) < 400 + len(str(archive))
    return message


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz"])
@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_archives_are_refused_in_one_line(tmp_path: Path, kind: str, suffix: str) -> None:
    archive = tmp_path / f"x{suffix}"
    content = HOSTILE[kind]
    archive.write_bytes(gzip.compress(content) if suffix == ".tar.gz" else content)
    refused(archive, tmp_path / "out")


def sums_of(files: dict[str, bytes]) -> bytes:
    """The member with the checksums of files."""
    lines = (f"{hashlib.sha256(data).hexdigest()}  {name}" for name, data in files.items())
    return "\n".join([*lines, ""]).encode()


def test_an_archive_without_checksums_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(GOOD + END)
    assert "it has no SHA256SUMS" in refused(tmp_path / "x.tar", tmp_path / "out")
    with pytest.raises(InputError, match="it has no SHA256SUMS"):
        member_of(tmp_path / "x.tar", "good")


def test_what_others_pack_is_unpacked(tmp_path: Path) -> None:
    (tmp_path / "in" / "folder").mkdir(parents=True)
    names = ["a", "folder/" + "long" * 40, "folder/ü"]
    for name in names:
        (tmp_path / "in" / name).write_text(name)
    for number in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        packed = names if number != tarfile.USTAR_FORMAT else [names[0], names[2]]
        sums = sums_of({name: name.encode() for name in packed})
        (tmp_path / "in" / archives.SUMS).write_bytes(sums)
        with tarfile.open(tmp_path / f"{number}.tar", "w", format=number) as tar:
            recursive = number != tarfile.USTAR_FORMAT
            for name in (".",) if recursive else (".", *packed, archives.SUMS):
                tar.add(tmp_path / "in" / name, name, recursive=recursive)
        out = unpack(tmp_path / f"{number}.tar", tmp_path / str(number))
        for name in packed:
            assert (out / name).read_text() == name
    sums = member(archives.SUMS.encode(), sums_of({"good": b"evil"}))
    commented = extended((b"comment", b"of git"), kind=b"g") + GOOD + sums + END
    (tmp_path / "git.tar").write_bytes(commented)
    assert member_of(tmp_path / "git.tar", "good") == b"evil"


def test_what_grows_too_much_is_refused_before_the_disk_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "SMALLEST_LIMIT", 1 << 20)
    zeros = bytes(4 << 20)
    bombs = {
        "a large file": header(b"zeros", len(zeros)) + zeros + END,
        "a long end": GOOD + END + zeros,
    }
    for kind, content in bombs.items():
        (tmp_path / "bomb.tar.gz").write_bytes(gzip.compress(content))
        message = refused(tmp_path / "bomb.tar.gz", tmp_path / "out")
        assert "expands to more than" in message, kind
    folders = b"".join(header(b"%d/" % i, kind=b"5") for i in range(1001)) + END
    (tmp_path / "folders.tar").write_bytes(folders)
    assert "more than 1000 directories" in refused(tmp_path / "folders.tar", tmp_path / "out")
    monkeypatch.setattr(archives, "LARGEST_COUNT", 100)
    (tmp_path / "count.tar").write_bytes(b"".join(header(b"%d" % i) for i in range(101)) + END)
    assert "more than 100 members" in refused(tmp_path / "count.tar", tmp_path / "out")


def test_all_that_gzip_can_notice_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "x").write_bytes(random.Random(0).randbytes(3000))
    pack(tmp_path / "in", tmp_path / "x.tar.gz")
    whole = (tmp_path / "x.tar.gz").read_bytes()
    damaged = {f"cut at {end}": whole[:end] for end in range(0, len(whole), 101)}
    damaged |= {
        "garbage at the end": whole + b"evil",
        "another member": whole + gzip.compress(GOOD),
    }
    rng = random.Random(2)
    for _ in range(60):
        # Not in the head, where names and times of no consequence are.
        place, bit = rng.randrange(10, len(whole)), 1 << rng.randrange(8)
        damaged[f"{bit} of {place}"] = (
            whole[:place] + bytes([whole[place] ^ bit]) + whole[place + 1 :]
        )
    for content in damaged.values():
        (tmp_path / "damaged.tar.gz").write_bytes(content)
        try:
            # A few bits make another text of the same zeros at the end.
            same = gzip.decompress(content) == gzip.decompress(whole)
        except (OSError, EOFError, zlib.error):
            same = False
        if not same:
            refused(tmp_path / "damaged.tar.gz", tmp_path / "out")


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir, lambda path: path.symlink_to("/dev/zero")])
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, make: Callable[[Path], object]) -> None:
    make(tmp_path / "x.tar.gz")
    assert "not a regular file" in refused(tmp_path / "x.tar.gz", tmp_path / "out")


def test_one_file_is_read_as_all_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "note").write_text("note")
    pack(tmp_path / "in", tmp_path / "x.tar.gz")
    assert member_of(tmp_path / "x.tar.gz", "note") == b"note"
    with pytest.raises(InputError, match=r"x.tar.gz: is not the expected archive.* no other"):
        member_of(tmp_path / "x.tar.gz", "other")
    monkeypatch.setattr(archives, "LARGEST_NOTE", 3)
    with pytest.raises(InputError, match=r"x.tar.gz: cannot be unpacked \(note has 4 bytes"):
        member_of(tmp_path / "x.tar.gz", "note")


def test_what_was_there_stays_when_an_archive_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "good").write_text("old")
    (tmp_path / "x.tar").write_bytes(GOOD + member(b"new") + END[:512])
    with pytest.raises(InputError):
        unpack(tmp_path / "x.tar", tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["good"]
    assert (tmp_path / "out" / "good").read_text() == "old"
