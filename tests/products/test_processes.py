from __future__ import annotations

from pathlib import Path

from madminer_workflow.files import pack
from madminer_workflow.products.processes import Library


def test_blocks_of_other_jobs_stay_in_the_archive(tmp_path: Path) -> None:
    names = ["a/process.json", "a/sm/000000.npz", "a/sm/000001.npz", "b/sm/000001.lhe.gz", "b/x/y"]
    for name in names:
        path = tmp_path / "all" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    archive = tmp_path / "all.tar.gz"
    pack(tmp_path / "all", archive)
    Library(archive, tmp_path / "some", {("a", "sm", 1), ("b", "sm", 0)})
    files = [path for path in (tmp_path / "some").rglob("*") if path.is_file()]
    kept = sorted(path.relative_to(tmp_path / "some").as_posix() for path in files)
    assert kept == ["a/process.json", "a/sm/000001.npz", "b/x/y"]
