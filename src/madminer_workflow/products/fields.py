"""Types of the fields of products, with what their values can be."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

Name = Annotated[str, Meta(pattern=r"^[^./\x00-\x1f][^/\x00-\x1f]*$", max_length=250)]
"""Of a file or of what files are named after: nothing that leads out of a folder."""

Index = Annotated[int, Meta(ge=0, lt=10**9)]
Count = Annotated[int, Meta(ge=0, lt=10**15)]
AtLeastOne = Annotated[int, Meta(ge=1, lt=10**15)]
Seed = Annotated[int, Meta(ge=0, lt=2**62)]

Positive = Annotated[float, Meta(gt=0.0)]
NotNegative = Annotated[float, Meta(ge=0.0)]
Fraction = Annotated[float, Meta(ge=0.0, le=1.0)]
