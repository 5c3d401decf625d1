"""What is wrong with the surroundings, in plain words: settings, model, broker, index."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

from catalog.domain.space import Space
from catalog.errors import LiveshelfError
from liveshelf.settings import Settings
from liveshelf.wiring.parser_config import parser_config_of


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One thing looked at, and what there is to say of it."""

    part: str
    ok: bool
    says: str


def diagnose(settings: Settings) -> Iterator[Diagnosis]:
    """Looks at one part after the other. What cannot be looked at for want of another is left out."""
    yield from _settings(settings)
    yield _broker(settings)
    try:
        from liveshelf.wiring.encoder import model_of

        model = model_of(settings)
        space = model.space
    except LiveshelfError as error:
        yield Diagnosis("model", False, str(error))
        return
    yield Diagnosis("model", True, f"{settings.model} loads; its vectors are of the space {space.id}; {model.runs}")
    yield asyncio.run(_index(settings, space))


def _settings(settings: Settings) -> Iterator[Diagnosis]:
    for root in settings.image_file_roots:
        if not root.is_dir():
            yield Diagnosis("settings", False, f"LIVESHELF_IMAGE_FILE_ROOTS names {root}, which is no folder")
    try:
        parser_config_of(settings)
    except LiveshelfError as error:
        yield Diagnosis("settings", False, str(error))
    yield Diagnosis("settings", True, "every value is one that is allowed")


def _broker(settings: Settings) -> Diagnosis:
    from liveshelf.wiring.kafka import kafka_of, topics_of
    from streams.topics import partitions_of

    topics = topics_of(settings)
    try:
        there = partitions_of(kafka_of(settings), topics)
    except LiveshelfError as error:
        return Diagnosis("broker", False, str(error))
    few = {name: count for name, count in there.items() if 0 < count < topics.partitions}
    if few:
        said = ", ".join(f"{name} has {count}" for name, count in few.items())
        return Diagnosis(
            "broker", False, f"{said} partitions of {topics.partitions}: set LIVESHELF_TOPIC_PARTITIONS to that"
        )
    missing = [name for name, count in there.items() if not count]
    says = f"{settings.kafka_bootstrap_servers} answers"
    return Diagnosis("broker", True, says + (f"; {', '.join(missing)} will be created" if missing else ""))


async def _index(settings: Settings, space: Space) -> Diagnosis:
    from indexer.collection import collection_name, serving
    from indexer.qdrant.connection import connect
    from liveshelf.wiring.encoder import collection_policy_of

    key = settings.qdrant_api_key.get_secret_value() if settings.qdrant_api_key else None
    client = connect(settings.qdrant_url, api_key=key, timeout_s=settings.qdrant_timeout_seconds)
    try:
        served = await serving(client, settings.collection)
    except LiveshelfError as error:
        return Diagnosis("index", False, str(error))
    finally:
        await client.close()
    wanted = collection_name(collection_policy_of(settings), space)
    if served is None:
        return Diagnosis("index", True, f"{settings.qdrant_url} answers; {wanted} will be created")
    if served != wanted:
        return Diagnosis(
            "index",
            False,
            f"{settings.collection} holds {served}, and this model makes {wanted}: use the "
            "model that made it, or another LIVESHELF_COLLECTION",
        )
    return Diagnosis("index", True, f"{settings.qdrant_url} answers and {settings.collection} holds {served}")
