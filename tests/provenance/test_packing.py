"""Zip archives of crates: what they may hold, and what they must not do."""

from __future__ import annotations

import stat
import zipfile
from pathlib import Path

import pytest

from madminer_workflow.errors import InputError
from madminer_workflow.files import checksum
from madminer_workflow.provenance.packing import pack_zip, unpack_zip


def archive(path: Path, *members: tuple[str | zipfile.ZipInfo, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for member, content in members:
            packed.writestr(member, content)
    return path


def everything(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_there_and_back(tmp_path: Path):
    source = tmp_path / "source"
    (source / "a b").mkdir(parents=True)
    (source / "a b/ä%41.txt").write_text("content")
    (source / "empty").touch()
    for name in ("1.zip", "2.zip"):
        pack_zip(source, ["empty", "a b/ä%41.txt"], tmp_path / name)
        (source / "empty").touch()
    assert checksum(tmp_path / "1.zip") == checksum(tmp_path / "2.zip")
    unpack_zip(tmp_path / "1.zip", tmp_path / "target")
    assert everything(tmp_path / "target") == everything(source)
    assert (tmp_path / "target/a b/ä%41.txt").read_text() == "content"


@pytest.mark.parametrize(
    "name", ["../outside", "/outside", "a/../../outside", "C:/outside", "a\\..\\b", "a\nb", "."]
)
def test_names_outside_are_refused(tmp_path: Path, name: str):
    packed = archive(tmp_path / "x.zip", ("inside", b"1"), (name, b"2"))
    with pytest.raises(InputError, match="expected the path of a file inside"):
        unpack_zip(packed, tmp_path / "target")
    assert everything(tmp_path) == ["x.zip"]


def test_links_are_refused(tmp_path: Path):
    info = zipfile.ZipInfo("link")
    info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    packed = archive(tmp_path / "x.zip", (info, b"/etc/hostname"), ("link/x", b"1"))
    with pytest.raises(InputError, match="link is not a regular file"):
        unpack_zip(packed, tmp_path / "target")
    assert everything(tmp_path) == ["x.zip"]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_names_in_it_twice_are_refused(tmp_path: Path):
    packed = archive(tmp_path / "x.zip", ("name", b"1"), ("name", b"2"))
    with pytest.raises(InputError, match="has name twice"):
        unpack_zip(packed, tmp_path / "target")


def test_a_name_that_is_file_and_folder_is_refused(tmp_path: Path):
    packed = archive(tmp_path / "x.zip", ("name", b"1"), ("name/inside", b"2"))
    with pytest.raises(InputError, match=r"x\.zip|name"):
        unpack_zip(packed, tmp_path / "target")


def test_what_grows_beyond_measure_is_refused(tmp_path: Path):
    packed = archive(tmp_path / "x.zip", ("zeros", bytes(80 << 20)))
    with pytest.raises(InputError, match="would grow to"):
        unpack_zip(packed, tmp_path / "target")
    assert everything(tmp_path) == ["x.zip"]


def test_a_size_that_is_a_lie_is_refused(tmp_path: Path):
    packed = archive(tmp_path / "x.zip", ("zeros", bytes(1 << 20)))
    content = packed.read_bytes()
    assert content.count((1 << 20).to_bytes(4, "little")) == 2
    packed.write_bytes(content.replace((1 << 20).to_bytes(4, "little"), (9).to_bytes(4, "little")))
    with pytest.raises(InputError, match="zeros"):
        unpack_zip(packed, tmp_path / "target")


@pytest.mark.parametrize("content", [b"", b"PK", b"no archive" * 100])
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes):
    (tmp_path / "x.zip").write_bytes(content)
    with pytest.raises(InputError, match=r"x\.zip: cannot be unpacked"):
        unpack_zip(tmp_path / "x.zip", tmp_path / "target")


def test_every_flipped_byte_is_noticed_or_harms_nothing(tmp_path: Path):
    packed = archive(tmp_path / "x.zip", ("name", b"content " * 20))
    content = packed.read_bytes()
    for place in range(len(content)):
        damaged = tmp_path / "damaged.zip"
        damaged.write_bytes(content[:place] + bytes([content[place] ^ 0x11]) + content[place + 1 :])
        target = tmp_path / f"target{place}"
        try:
            unpack_zip(damaged, target)
        except InputError as error:
            assert "\n" not in str(error)
        else:
            # Another name, or nothing at all: never another content.
            assert all(p.read_bytes() == b"content " * 20 for p in target.rglob("*"))
    assert not (tmp_path.parent / "name").exists()
