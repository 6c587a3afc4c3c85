"""The entities of an RO-Crate: what ``ro-crate-metadata.json`` is made of, as JSON-LD.

The names are those of RO-Crate 1.1 (schema.org, for the most part) and of the profile Provenance
Run Crate 0.5, https://w3id.org/ro/wfrun/provenance/0.5, with all that it rests on.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

METADATA = "ro-crate-metadata.json"
CONTEXT = [
    "https://w3id.org/ro/crate/1.1/context",
    "https://w3id.org/ro/terms/workflow-run/context",
]
CRATE = "https://w3id.org/ro/crate/1.1"
PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": "Process Run Crate",
    "https://w3id.org/ro/wfrun/workflow/0.5": "Workflow Run Crate",
    "https://w3id.org/ro/wfrun/provenance/0.5": "Provenance Run Crate",
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": "Workflow RO-Crate",
}

Scalar = str | int | float | bool


class Reference(msgspec.Struct, frozen=True):
    """Another entity, by its ``@id``."""

    id: str = msgspec.field(name="@id")


References = list[Reference] | Reference


class Entity(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """One entity with those properties that we write; what else there is is not read."""

    id: str = msgspec.field(name="@id")
    type: str | list[str] = msgspec.field(name="@type")
    name: str | None = None
    description: str | None = None
    about: Reference | None = None
    action_status: str | None = None
    additional_type: str | None = None
    conforms_to: References | None = None
    container_image: References | None = None
    content_size: str | None = None
    date_published: str | None = None
    encoding_format: str | None = None
    environment: References | None = None
    end_time: str | None = None
    example_of_work: References | None = None
    has_part: References | None = None
    input: References | None = None
    instrument: Reference | None = None
    license: str | None = None
    main_entity: Reference | None = None
    mentions: References | None = None
    object: References | None = None
    operating_system: str | None = None
    output: References | None = None
    position: str | int | None = None
    programming_language: Reference | None = None
    registry: str | None = None
    result: References | None = None
    sha256: str | None = None
    software_requirements: References | None = None
    software_version: str | None = None
    start_time: str | None = None
    step: References | None = None
    tag: str | None = None
    url: str | None = None
    value: Scalar | None = None
    version: str | None = None
    work_example: References | None = None


class Document(msgspec.Struct, frozen=True):
    """All of ``ro-crate-metadata.json``."""

    context: list[str] = msgspec.field(name="@context")
    graph: list[Entity] = msgspec.field(name="@graph")


def to(ids: Sequence[str]) -> References | None:
    """References to several entities: one alone is no list, and none is nothing."""
    references = [Reference(id) for id in ids]
    return references[0] if len(references) == 1 else references or None


def ids(references: References | None) -> list[str]:
    """The ``@id`` of each of none, one or several references."""
    if references is None:
        return []
    return [each.id for each in references] if isinstance(references, list) else [references.id]


def types(entity: Entity) -> list[str]:
    """What an entity is."""
    return entity.type if isinstance(entity.type, list) else [entity.type]
