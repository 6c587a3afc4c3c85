from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from madminer_workflow.errors import InputError
from madminer_workflow.files import atomic_path, pack, read_json, unpack, write_json


def test_atomic_path_leaves_the_old_product_when_the_block_fails(tmp_path: Path) -> None:
    target = tmp_path / "product.txt"
    target.write_text("old")
    with pytest.raises(RuntimeError), atomic_path(target) as product:
        product.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_atomic_path_replaces_directories(tmp_path: Path) -> None:
    for content in ("first", "second"):
        with atomic_path(tmp_path / "dir") as product:
            product.mkdir()
            (product / content).touch()
    assert [file.name for file in (tmp_path / "dir").iterdir()] == ["second"]
    assert [file.name for file in tmp_path.iterdir()] == ["dir"]


def test_pack_depends_on_content_only(tmp_path: Path) -> None:
    for name, order in (("a", "xy"), ("b", "yx")):
        (tmp_path / name / "sub").mkdir(parents=True)
        for file in order:
            (tmp_path / name / "sub" / file).write_text(file)
        pack(tmp_path / name, tmp_path / f"{name}.tar.gz")
    assert (tmp_path / "a.tar.gz").read_bytes() == (tmp_path / "b.tar.gz").read_bytes()
    unpacked = unpack(tmp_path / "a.tar.gz", tmp_path / "out")
    assert (unpacked / "sub" / "x").read_text() == "x"


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz"])
def test_archives_keep_modes_and_nothing_else(tmp_path: Path, suffix: str) -> None:
    for folder in ("a", "b"):
        root = tmp_path / folder
        (root / "bin").mkdir(parents=True)
        (root / "bin" / "run").write_text("program")
        (root / "bin" / "run").chmod(0o755)
        (root / "data").write_text("data")
        (root / "other").write_text(folder)
        os.utime(root / "data", (1, hash(folder) % 1000))
        pack(root, tmp_path / f"{folder}{suffix}", [root / "data", root / "bin" / "run"])
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()
    unpack(tmp_path / f"a{suffix}", tmp_path / "c")
    assert os.access(tmp_path / "c" / "bin" / "run", os.X_OK)
    assert not os.access(tmp_path / "c" / "data", os.X_OK)
    assert (tmp_path / "c" / "data").read_text() == "data"
    assert not (tmp_path / "c" / "other").exists()


def archive_of(path: Path, name: str) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        info = tarfile.TarInfo(name)
        info.size = 4
        tar.addfile(info, io.BytesIO(b"evil"))
    return path


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "{tmp_path}/evil"])
def test_unpack_refuses_members_outside(tmp_path: Path, name: str) -> None:
    archive = archive_of(tmp_path / "evil.tar.gz", name.format(tmp_path=tmp_path))
    with pytest.raises(InputError, match=r"evil.tar.gz: cannot be unpacked \(.* points outside"):
        unpack(archive, tmp_path / "out")
    assert not list(tmp_path.glob("**/evil"))


def test_unpack_refuses_links(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "link.tar.gz", "w:gz") as tar:
        info = tarfile.TarInfo("link")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(info)
    with pytest.raises(InputError):
        unpack(tmp_path / "link.tar.gz", tmp_path / "out")


def test_unpack_refuses_what_is_no_archive(tmp_path: Path) -> None:
    (tmp_path / "x.tar.gz").write_bytes(b"no archive")
    with pytest.raises(InputError, match="cannot be unpacked"):
        unpack(tmp_path / "x.tar.gz", tmp_path / "out")
    with pytest.raises(InputError, match=r"none.tar: cannot be unpacked \(.*No such file"):
        unpack(tmp_path / "none.tar", tmp_path / "out")


def test_some_of_an_archive(tmp_path: Path) -> None:
    write_json(tmp_path / "all/a/1.json", 1)
    write_json(tmp_path / "all/b.json", 2)
    pack(tmp_path / "all", tmp_path / "all.tar.gz")
    place = unpack(tmp_path / "all.tar.gz", tmp_path / "some", wanted=lambda name: name == "b.json")
    assert [path.name for path in place.rglob("*")] == ["b.json"]


def test_json(tmp_path: Path) -> None:
    write_json(tmp_path / "x.json", {"b": 1, "a": [1.5]})
    assert read_json(tmp_path / "x.json") == {"a": [1.5], "b": 1}
    (tmp_path / "x.json").write_text("{")
    with pytest.raises(InputError, match="not valid JSON"):
        read_json(tmp_path / "x.json")
    for number in (-(2**63), 2**64 - 1):
        write_json(tmp_path / "x.json", number)
        assert read_json(tmp_path / "x.json") == number
    for text in (str(2**64), "1" * 400, str(-(2**63) - 1)):
        (tmp_path / "x.json").write_text(text)
        with pytest.raises(InputError, match=r"not valid JSON \(-?\d+… is too large a number"):
            read_json(tmp_path / "x.json")
    with pytest.raises(InputError, match="cannot be read"):
        read_json(tmp_path / "none.json")
