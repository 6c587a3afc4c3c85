"""Results as strict JSON."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np


def plain(content: Any) -> Any:
    """``content`` with structs as mappings, arrays as lists and None for what is not finite."""
    if isinstance(content, msgspec.Struct):
        return plain(msgspec.to_builtins(content))
    if isinstance(content, dict):
        return {str(key): plain(value) for key, value in content.items()}
    if isinstance(content, np.ndarray):
        return plain(content.tolist())
    if isinstance(content, (list, tuple)):
        return [plain(value) for value in content]
    if isinstance(content, np.generic):
        return plain(content.item())
    if isinstance(content, float) and not np.isfinite(content):
        return None
    return content
