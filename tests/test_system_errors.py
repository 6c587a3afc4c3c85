"""What the system could not do is told in one line that names the place and what helps."""

from __future__ import annotations

import errno
import io
import weakref
from pathlib import Path

import numpy as np
import pytest

from madminer_workflow.cli.commands import Commands
from madminer_workflow.files import atomic_path
from madminer_workflow.system_errors import explain

HDF5 = (
    "[Errno 28] Can't synchronously write data (file write failed: time = Thu Nov 26 2026\n, "
    "filename = '/data/events.h5', file descriptor = 5, errno = 28, error message = 'No space "
    "left on device', buf = 0x1, total write size = 8)"
)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            OSError(errno.ENOSPC, "x", "/a/b"),
            "/a/b: No space left on device; free some space there",
        ),
        (OSError(errno.EDQUOT, "x", "/a/b"), "/a/b: Disk quota exceeded; free some space there"),
        (OSError(errno.EROFS, "x", "/a/b"), "/a/b: Read-only file system; choose another location"),
        (OSError(errno.EACCES, "x", "/a/b"), "/a/b: Permission denied; change the permissions"),
        (
            OSError(errno.EIO, "x", "/a/b"),
            "/a/b: Input/output error; the disk or its network connection",
        ),
        (OSError(errno.EMFILE, "x", "/a/b"), "/a/b: Too many open files; allow more open files"),
        (OSError(errno.ENOTDIR, "x", "/a/b"), "/a/b: Not a directory"),
        (OSError("odd"), "a file: odd"),
        (OSError(HDF5), "/data/events.h5: No space left on device; free some space"),
        (RuntimeError(HDF5), "/data/events.h5: No space left on device; free some space"),
        (
            RuntimeError("[enforce fail] PytorchStreamWriter failed writing file data/0"),
            "cannot be",
        ),
        (OSError("8192 requested and 100 written"), "cannot be written (8192 requested"),
        (MemoryError(), "out of memory; use a machine with more memory, fewer parallel steps"),
        (MemoryError("Unable to allocate 58 GiB"), "out of memory (Unable to allocate 58 GiB)"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: 80 bytes"), "out of memory (De"),
        (RuntimeError("can't start new thread"), "out of memory (can't start new thread)"),
        (ImportError("libtorch.so: failed to map"), "a package: cannot be loaded (libtorch.so: f"),
        (
            EOFError("Ran out of input"),
            "a file: ends too early (Ran out of input); repeat the step",
        ),
    ],
)
def test_errors_of_the_system_are_told(error: BaseException, said: str):
    line = explain(error)
    assert line and said in line and "\n" not in line


@pytest.mark.parametrize("error", [RuntimeError("a mistake"), ValueError("x"), KeyError("y")])
def test_mistakes_of_ours_are_not(error: BaseException):
    assert explain(error) is None


def raised(write: object) -> BaseException:
    try:
        write()  # type: ignore[operator]
    except BaseException as error:
        return error
    raise AssertionError("there was room")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_the_file_is_found_where_the_error_came_from():
    def write() -> None:
        with open("/dev/full", "wb", buffering=0) as file:
            file.write(b"x")

    assert str(explain(raised(write))).startswith("/dev/full: No space left on device")


def test_a_product_has_its_own_name_and_not_that_of_its_scratch(tmp_path: Path):
    def write() -> None:
        with atomic_path(tmp_path / "Model.tar.gz"):
            raise OSError(errno.ENOSPC, "No space left on device")

    def library() -> None:
        with atomic_path(tmp_path / "Model.tar.gz") as product:
            assert product
            raise RuntimeError("PytorchStreamWriter failed writing file data/0")

    for broken in (write, library):
        assert str(explain(raised(broken))).startswith(f"{tmp_path}/Model.tar.gz: ")


def test_numpy_runs_out_of_memory():
    error = raised(lambda: np.empty(1 << 58))
    assert "out of memory" in str(explain(error))


@pytest.mark.parametrize(
    "error", [EOFError("Compressed file ended"), MemoryError(), OSError(errno.EIO, "x", "/a")]
)
def test_a_command_ends_with_one_line(error: Exception, capsys: pytest.CaptureFixture[str]):
    group = Commands("test")

    @group.command()
    def work() -> None:
        raise error

    with pytest.raises(SystemExit) as ended:
        group.main(["work"])
    assert ended.value.code == 1
    (line,) = filter(None, capsys.readouterr().err.splitlines())
    assert line.startswith("error: ")


def test_a_stream_in_memory_is_no_file():
    def write() -> None:
        stream = io.BytesIO()
        assert stream
        raise OSError(errno.ENOSPC, "No space left on device")

    assert "No space left on device; free some space" in str(explain(raised(write)))


def test_what_the_work_held_is_given_back():
    """Else there is no memory to say that there is none."""
    held: list[weakref.ref[np.ndarray]] = []

    def work() -> None:
        array = np.zeros(1000)
        held.append(weakref.ref(array))
        raise MemoryError

    error = raised(work)
    assert held[0]() is not None
    assert "out of memory" in str(explain(error))
    assert held[0]() is None
