"""Results as strict JSON."""

from __future__ import annotations

from typing import Any

import numpy as np


def plain(content: Any) -> Any:
    """``content`` with arrays as lists and None for what is not a finite number: strict JSON."""
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
