"""Products of steps, found again by the content of everything they were made from.

The key of a step is the SHA-256 of its command with each path replaced by the checksum of what is
there, together with the checksum of the code that it runs. Names, places and times of files do
not enter, so that a step runs again if, and only if, something that it reads has changed. The
store holds hard links to the products where the file system allows them: it costs no space until
a product is replaced.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shlex
import shutil
import threading
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import madminer_workflow
from madminer_workflow import graph
from madminer_workflow.analysis.cards import mentioned_files, walk
from madminer_workflow.engines.code import code_of, imported_packages, joint_checksum
from madminer_workflow.engines.executors.local import THREADS
from madminer_workflow.engines.made_from import MadeFrom
from madminer_workflow.engines.surroundings import program_files, surroundings
from madminer_workflow.files import checksum, link, remove_directory

# The engine's own notes in the directory of a step; never part of its product.
NOTES = "_packtivity"

_SCRATCH = re.compile(r"\..+\.[0-9a-f]{32}")
_PATH = re.compile(r"/[^\s'\"`;|&<>()$]+")
_QUOTES = re.compile(r"['\"\\]")


class Cache:
    """A store of products in one directory; safe to use from several threads."""

    def __init__(self, directory: Path) -> None:
        """Keep the store in ``directory``, which need not exist."""
        self.directory = directory
        self._package = Path(madminer_workflow.__file__).parent
        self._code: dict[str | None, list[Path]] = {}
        self._packages: dict[str, set[str]] = {}
        self._lock = threading.Lock()
        self.made_from: dict[str, MadeFrom] = {}
        self._known: dict[tuple[int, int, int, int], str] = {}

    def key(self, command: str, target: Path) -> str:
        """The key of ``command``, whose product goes to the directory ``target``."""
        template = replace_path(command, target, "{output}")
        step, words = _step(command), _words(template)
        analyses = _analysis_files(step, words)
        resolved = [self._content(word, word in analyses) for word in words]
        files = [Path(path) for word in words for path in (word, *_PATH.findall(word))]
        made_from = MadeFrom(
            code=joint_checksum(self._package, self._code_of(step), self.file_checksum),
            surroundings=self._surroundings(step),
            programs=[self._checksum(file) for file in _program_files(step, files)],
            quotes="".join(_QUOTES.findall(template)),
            words=words,
            content=resolved,
        )
        self.made_from[made_from.key] = made_from
        return made_from.key

    def restore(self, key: str, target: Path) -> bool:
        """Make ``target`` hold the product of ``key``; False if the store has no intact one."""
        entry = self.directory / key
        try:
            manifest = self.manifest(key)
            intact = self._files(entry / "files") == manifest
        except (OSError, ValueError):
            return False
        if not intact:
            remove_directory(entry)
            return False
        if self._files(target) != manifest:
            with scratch_directory(target) as scratch:
                _link_files(entry / "files", manifest, scratch)
                replace_product(target, scratch)
        return True

    def link_into(self, key: str, target: Path) -> bool:
        """Let ``target`` have links to the product of ``key``; False if there is no intact one.

        Nothing is changed in the store.
        """
        files = self.directory / key / "files"
        try:
            manifest = self.manifest(key)
            if self._files(files) != manifest:
                return False
        except (OSError, ValueError):
            return False
        for name in manifest:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            (target / name).symlink_to(files / name)
        return True

    def manifest(self, key: str) -> dict[str, str]:
        """The checksum of every file of the product of ``key``; OSError if the store has none."""
        return json.loads(_regular(self.directory / key / "manifest.json").read_text())

    def store(self, key: str, product: Path) -> None:
        """Keep the files in the directory ``product`` under ``key``."""
        manifest = self._files(product)
        self.directory.mkdir(parents=True, exist_ok=True)
        entry = self.directory / key
        with scratch_directory(entry) as scratch, scratch_directory(entry) as replaced:
            _link_files(product, manifest, scratch / "files")
            (scratch / "manifest.json").write_text(json.dumps(manifest, sort_keys=True))
            with self._lock:
                if entry.is_symlink() or entry.exists():
                    entry.rename(replaced / key)
                scratch.rename(entry)

    def prune(self, keys: Iterable[str]) -> None:
        """Forget all products but those of ``keys``; what is no directory, or cannot go, stays."""
        keep = set(keys)
        try:
            entries = list(self.directory.iterdir())
        except OSError:
            # Not even a directory: then nothing was kept.
            return
        for entry in entries:
            if entry.name not in keep:
                remove_directory(entry)

    def _code_of(self, step: graph.Step | None) -> list[Path]:
        """The code of this package that a step runs.

        The command line only passes arguments on, which the key holds already.
        """
        module = step.module if step else None
        if module not in self._code:
            self._code[module] = code_of(self._package, module)
        return self._code[module]

    def _surroundings(self, step: graph.Step | None) -> dict[str, str]:
        """What computes a step beside that: packages and variables."""
        if step is None:
            return {}
        if step.name not in self._packages:
            self._packages[step.name] = imported_packages(self._package, self._code_of(step))
        variables = {**dict.fromkeys(THREADS, "1"), **os.environ}
        return surroundings(self._packages[step.name], variables)

    def _content(self, word: str, is_analysis: bool) -> str:
        """A word of a command with the content in place of every path in it."""
        if is_analysis:
            # An analysis file stands for its cards and models, too.
            place = Path(word)
            return " ".join(map(self._checksum, [place, *mentioned_files(place)]))
        if word.startswith("/") and os.path.exists(word):
            return self._checksum(Path(word))
        return _PATH.sub(lambda match: self._path_content(match[0]), word)

    def _path_content(self, path: str) -> str:
        return self._checksum(Path(path)) if os.path.exists(path) else path

    def _checksum(self, place: Path) -> str:
        """The checksum of a file, or of everything in a directory, links followed."""
        if not place.is_dir():
            return self.file_checksum(place)
        digest = hashlib.sha256()
        for folder, files, first in walk(place):
            digest.update(f"{folder.relative_to(place)} {first.relative_to(place)}\n".encode())
            for name in files:
                digest.update(f"{name}\0{self.file_checksum(folder / name)}\n".encode())
        return digest.hexdigest()

    def _files(self, directory: Path) -> dict[str, str]:
        return {
            file.relative_to(directory).as_posix(): self.file_checksum(file)
            for file in _files_below(directory)
        }

    def file_checksum(self, file: Path) -> str:
        """The SHA-256 of a file."""
        if not file.is_file():
            # What is neither can have no content, and might never end.
            return "no file"
        # Within one run a large file is read once, although several steps depend on it.
        status = file.stat()
        identity = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        if identity not in self._known:
            self._known[identity] = checksum(file)
        return self._known[identity]


def _step(command: str) -> graph.Step | None:
    """The step that a command is, if it is one."""
    name = re.match(r"madminer-workflow (\w+)\s", command)
    return graph.STEPS.get(name[1]) if name else None


def _words(command: str) -> list[str]:
    """The words of a command as the shell makes them, but for what it would replace in them."""
    try:
        return shlex.split(command)
    except ValueError:
        return command.split()


def _analysis_files(step: graph.Step | None, words: Sequence[str]) -> set[str]:
    """Those of the words that are analysis files, whatever their names."""
    given = step.options if step else ()
    options = {option.word for option in given if option.source == "inputfile"}
    return {file for word, file in pairwise(words) if word in options and os.path.isfile(file)}


def _program_files(step: graph.Step | None, inputs: Iterable[Path]) -> list[Path]:
    return program_files(step.name, inputs) if step else []


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
        if _SCRATCH.fullmatch(path.name):
            remove_directory(path)


def _regular(path: Path) -> Path:
    """The path of a regular file; OSError for what is none, which might never end."""
    if not path.is_file():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    return path


def _files_below(directory: Path) -> list[Path]:
    return sorted(
        path
        for path in directory.rglob("*")
        if path.is_file()
        and NOTES not in path.relative_to(directory).parts
        # What a file server keeps of a file that was deleted while it was open.
        and not path.name.startswith(".nfs")
    )


def _link_files(source: Path, names: Iterable[str], destination: Path) -> None:
    for name in names:
        (destination / name).parent.mkdir(parents=True, exist_ok=True)
        link(source / name, destination / name)
