"""The cache finds a product again if, and only if, everything that it was made from is the same."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from madminer_workflow.engines.cache import (
    Cache,
    remove_scratch,
    replace_path,
    replace_product,
    scratch_directory,
)


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "store")


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def content(directory: Path) -> dict[str, str]:
    files = (path for path in directory.rglob("*") if path.is_file())
    return {path.relative_to(directory).as_posix(): path.read_text() for path in files}


def test_key_follows_the_content_of_inputs_and_not_their_places(cache: Cache, tmp_path: Path):
    first, second = write(tmp_path / "a/x.txt", "1"), write(tmp_path / "b/y.txt", "1")
    key = cache.key(f"step --data {first} --output {tmp_path}/out", tmp_path / "out")
    assert key == cache.key(f"step --data {second} --output {tmp_path}/o2", tmp_path / "o2")
    second.write_text("22")
    assert key != cache.key(f"step --data {second} --output {tmp_path}/out", tmp_path / "out")


def test_key_follows_the_command(cache: Cache, tmp_path: Path):
    keys = {cache.key(f"step --njobs {n} --output {tmp_path}", tmp_path) for n in (1, 2, 12)}
    assert len(keys) == 3


def test_key_follows_everything_in_a_directory(cache: Cache, tmp_path: Path):
    card = write(tmp_path / "cards/run/card.dat", "1")
    key = cache.key(f"step {tmp_path}/cards", tmp_path / "out")
    assert key == cache.key(f"step {tmp_path}/cards", tmp_path / "out")
    write(card.with_name("other.dat"), "1")
    assert key != cache.key(f"step {tmp_path}/cards", tmp_path / "out")


def test_a_product_is_restored_elsewhere_and_nothing_else_stays(cache: Cache, tmp_path: Path):
    product = tmp_path / "product"
    write(product / "jobs/a.txt", "a")
    cache.store("key", product)
    target = tmp_path / "target"
    write(target / "stale.txt", "old")
    write(target / "_packtivity/step.log", "log")
    assert cache.restore("key", target)
    assert content(target) == {"jobs/a.txt": "a", "_packtivity/step.log": "log"}
    assert not cache.restore("other", target)


@pytest.mark.parametrize("damage", ["changed", "deleted", "added"])
def test_a_damaged_target_is_repaired(cache: Cache, tmp_path: Path, damage: str):
    product = tmp_path / "target"
    file = write(product / "a.txt", "a")
    cache.store("key", product)
    if damage == "added":
        write(product / "b.txt", "b")
    else:
        file.unlink()
    if damage == "changed":
        write(file, "x")
    assert cache.restore("key", product)
    assert content(product) == {"a.txt": "a"}


def test_a_product_tampered_with_in_place_is_not_used(cache: Cache, tmp_path: Path):
    file = write(tmp_path / "target/a.txt", "a")
    cache.store("key", file.parent)
    with file.open("r+") as shared_with_the_store:
        shared_with_the_store.write("x")
    os.utime(file, ns=(1, 1))
    assert not cache.restore("key", file.parent)


def test_prune_keeps_only_what_is_named(cache: Cache, tmp_path: Path):
    product = write(tmp_path / "product/a.txt", "a").parent
    for key in ("one", "two"):
        cache.store(key, product)
    cache.prune(["two"])
    assert not cache.restore("one", tmp_path / "target")
    assert cache.restore("two", tmp_path / "target")


def test_products_take_no_space_twice(cache: Cache, tmp_path: Path):
    file = write(tmp_path / "product/a.txt", "a")
    cache.store("key", file.parent)
    assert (cache.directory / "key/files/a.txt").samefile(file)


def test_replace_path_does_not_touch_longer_names():
    command = "step /w/pythia_1/x /w/pythia_1 /w/pythia_10 /w/pythia_1.old"
    expected = "step OUT/x OUT /w/pythia_10 /w/pythia_1.old"
    assert replace_path(command, Path("/w/pythia_1"), "OUT") == expected


def test_scratch_of_a_killed_engine_is_removed(tmp_path: Path):
    with scratch_directory(tmp_path / "physics/combine") as scratch:
        write(scratch / "half.h5", "")
        hidden = write(tmp_path / ".lock", "")
        remove_scratch(tmp_path)
        assert not scratch.exists()
    assert hidden.exists()


def test_replace_product_moves_new_for_old(tmp_path: Path):
    write(tmp_path / "target/old.txt", "old")
    write(tmp_path / "product/new.txt", "new")
    replace_product(tmp_path / "target", tmp_path / "product")
    assert content(tmp_path / "target") == {"new.txt": "new"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["product", "target"]


ANALYSIS = """
processes:
  - {name: signal, generator: madgraph, proc_card: proc.dat, ufo_model: model}
detector: {delphes_card: card.tcl}
"""


def analysis(folder: Path, name: str) -> Path:
    """An analysis file of this name with a card, a detector and a model of folders and links."""
    for file in ("proc.dat", "card.tcl", "model/__init__.py", "shared/couplings.py", "far/deep.py"):
        write(folder / file, "1")
    (folder / "model/linked").symlink_to(folder / "shared")
    (folder / "model/again").symlink_to(folder / "shared")
    (folder / "shared/further").symlink_to(folder / "far")
    (folder / "model/loop").symlink_to(folder / "model")
    (folder / "model/file.py").symlink_to(folder / "proc.dat")
    (folder / "model/broken.py").symlink_to(folder / "nothing")
    os.mkfifo(folder / "model/pipe")
    return write(folder / name, ANALYSIS)


@pytest.mark.parametrize("name", ["input.yml", "input.yaml", "input.YML", "input.json", "input"])
@pytest.mark.parametrize(
    "changed", ["proc.dat", "card.tcl", "model/__init__.py", "shared/couplings.py", "far/deep.py"]
)
def test_key_follows_cards_and_models_whatever_the_name_and_layout(
    cache: Cache, tmp_path: Path, name: str, changed: str
):
    folder = tmp_path / "my analysis"
    file = analysis(folder, name)

    def keys() -> set[str]:
        return {
            cache.key(f"madminer-workflow {step} --input '{file}' --output /x", Path("/x"))
            for step in ("configure", "sampling")
        }

    before = keys()
    assert keys() == before
    (folder / changed).write_text("22")
    after = keys()
    assert not before & after
    # What Python compiled is no part of a model, nor does a place enter.
    write(folder / "shared/__pycache__/couplings.pyc", "")
    assert keys() == after
    folder.rename(tmp_path / "moved")
    file = tmp_path / "moved" / name
    for link in ("model/linked", "model/again", "shared/further", "model/loop", "model/file.py"):
        link_place = tmp_path / "moved" / link
        target = link_place.readlink().relative_to(folder)
        link_place.unlink()
        link_place.symlink_to(tmp_path / "moved" / target)
    assert keys() == after


def test_key_follows_where_links_point(cache: Cache, tmp_path: Path):
    file = analysis(tmp_path, "input.yml")

    def key() -> str:
        return cache.key(f"madminer-workflow configure --input {file}", Path("/x"))

    before = key()
    (tmp_path / "model/again").unlink()
    assert key() != before
    (tmp_path / "model/again").symlink_to(tmp_path / "far")
    assert key() != before


def test_key_follows_quotes(cache: Cache):
    keys = {cache.key(f"step --set {text}", Path("/x")) for text in ("$HOME", "'$HOME'", '"$HOME"')}
    assert len(keys) == 3
