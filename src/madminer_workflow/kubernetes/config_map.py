"""The analysis file and its cards as a ConfigMap, which Jobs see as a folder."""

from __future__ import annotations

import base64
import os
import re
from pathlib import Path
from typing import Any

import yaml

from madminer_workflow.analysis.cards import mentioned_files
from madminer_workflow.errors import InputError

LIMIT = 2**20
"""What Kubernetes allows [bytes]."""

# A key has no slash. Two dots stand for it, which no path of ours has otherwise.
_SLASH = ".."
_KEY = re.compile(r"[-._a-zA-Z0-9]+")


def slug(analysis: Path) -> str:
    """The name of an analysis as Kubernetes can have it: that of its folder, or close to it."""
    name = re.sub(r"[^a-z0-9]+", "-", analysis.resolve().name.lower()).strip("-")
    return name[:40].strip("-") or "analysis"


def config_map(analysis: Path, namespace: str = "default") -> dict[str, Any]:
    """The ConfigMap with the ``input.yml`` of the folder ``analysis`` and all that it mentions.

    Its name is that of the analysis, so that several have room in a namespace. Raises InputError
    for what a ConfigMap cannot hold.
    """
    file = analysis / "input.yml"
    if not file.is_file():
        raise InputError(f"{file}: no such file; expected the folder of an analysis")
    texts: dict[str, str] = {}
    others: dict[str, str] = {}
    size = 0
    for path in [file, *_mentioned(file)]:
        content = path.read_bytes()
        size += len(content)
        try:
            texts[_key(path, analysis)] = content.decode()
        except UnicodeDecodeError:
            others[_key(path, analysis)] = base64.b64encode(content).decode()
    if size > LIMIT:
        raise InputError(
            f"{analysis}: the analysis has {size} bytes, more than the {LIMIT} of a ConfigMap; "
            "put the folder on the volume, and give its path there: "
            "PARAMETERS=analysis=/data/inputs/…"
        )
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": f"madminer-workflow-{slug(analysis)}",
            "namespace": namespace,
            "labels": {"app": "madminer-workflow"},
        },
        "data": texts,
        **({"binaryData": others} if others else {}),
    }


def items(content: dict[str, Any]) -> list[dict[str, str]]:
    """Which key of a ConfigMap from ``config_map`` is which file, for the volume of a Job."""
    keys = [*content["data"], *content.get("binaryData", {})]
    return [{"key": key, "path": key.replace(_SLASH, "/")} for key in keys]


def write(analysis: Path, file: Path) -> None:
    """Write the ConfigMap of ``analysis`` as YAML."""
    head = f"# Made by: make kube-input ANALYSIS={analysis}\n"
    file.write_text(head + yaml.dump(config_map(analysis), Dumper=_Dumper, sort_keys=False))


def _mentioned(file: Path) -> list[Path]:
    found = []
    for place in mentioned_files(file):
        inside = place.rglob("*") if place.is_dir() else [place]
        found += [path for path in sorted(inside) if path.is_file()]
    return found


def _key(path: Path, analysis: Path) -> str:
    name = Path(os.path.relpath(path, analysis)).as_posix()
    if _SLASH in name or not _KEY.fullmatch(name.replace("/", _SLASH)):
        raise InputError(
            f"{path}: cannot be part of a ConfigMap; expected a file inside {analysis}, with "
            "letters, digits, '-', '_' and single '.' in its name"
        )
    return name.replace("/", _SLASH)


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as they are."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)
