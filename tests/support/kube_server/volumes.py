"""What a Job's volumes are on the node: folders, as the kubelet lays them out."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

SIZES = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}


class RefusedError(Exception):
    """What the cluster does not accept: the code of its answer, and why."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


def size(quantity: str) -> int:
    """A quantity of memory or storage [bytes]."""
    return int(quantity[:-2]) * SIZES[quantity[-2:]]


def bind(claim: dict[str, Any], volumes: list[dict[str, Any]]) -> dict[str, Any]:
    """The volume that a claim gets."""
    wanted = claim["spec"]
    for volume in volumes:
        offered = volume["spec"]
        if (
            offered["storageClassName"] == wanted["storageClassName"]
            and set(offered["accessModes"]) >= set(wanted["accessModes"])
            and size(offered["capacity"]["storage"])
            >= size(wanted["resources"]["requests"]["storage"])
        ):
            return volume
    raise RefusedError(422, f"no volume for the claim {claim['metadata']['name']}")


def host_path(volume: dict[str, Any], node: Path) -> Path:
    """The folder of a volume, on a node whose root is the directory ``node``."""
    source = volume["spec"]["hostPath"]
    folder = node / source["path"].lstrip("/")
    if source["type"] == "Directory" and not folder.is_dir():
        raise RefusedError(422, f"hostPath type check failed: {source['path']} is not a directory")
    return folder


def lay_out(config_map: dict[str, Any], source: dict[str, Any], folder: Path) -> None:
    """Write a ConfigMap as the kubelet does: files in a dated folder, behind symbolic links."""
    contents = {key: text.encode() for key, text in config_map.get("data", {}).items()}
    for key, text in config_map.get("binaryData", {}).items():
        contents[key] = base64.b64decode(text)
    items = source.get("items") or [{"key": key, "path": key} for key in contents]
    dated = folder / "..2026_01_01"
    for item in items:
        if item["key"] not in contents:
            raise RefusedError(422, f"references non-existent config key: {item['key']}")
        file = dated / item["path"]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(contents[item["key"]])
        file.chmod(source["defaultMode"])
    (folder / "..data").symlink_to(dated.name)
    for top in dated.iterdir():
        (folder / top.name).symlink_to(f"..data/{top.name}")
