"""What `liveshelf check` finds: one verdict for each of settings, broker, model and index."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

from catalog.domain.space import Space
from catalog.errors import LiveshelfError, Unavailable
from liveshelf.settings import Settings
from liveshelf.wiring.parser_config import parser_config_of
from liveshelf.wiring.ready_file import check_ready_file


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The verdict on one part."""

    part: str
    ok: bool
    says: str


def diagnose(settings: Settings) -> Iterator[Diagnosis]:
    """Checks one part after the other. The index is left out if the model, which it depends on, does not load."""
    yield _settings(settings)
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


def _settings(settings: Settings) -> Diagnosis:
    problems = [
        f"LIVESHELF_IMAGE_FILE_ROOTS names {root}, which is not a folder"
        for root in settings.image_file_roots
        if not root.is_dir()
    ]
    for check in (parser_config_of, check_ready_file):
        try:
            check(settings)
        except LiveshelfError as error:
            problems.append(str(error))
    return Diagnosis("settings", not problems, "; ".join(problems) or "all values are allowed")


def _broker(settings: Settings) -> Diagnosis:
    from liveshelf.wiring.kafka import kafka_of, topics_of
    from streams.topics import partitions_of

    topics = topics_of(settings)
    try:
        partitions = partitions_of(kafka_of(settings), topics)
    except Unavailable:
        return Diagnosis(
            "broker",
            False,
            f"the broker at {settings.kafka_bootstrap_servers} does not answer: start it (`liveshelf up`, or "
            "`liveshelf dev broker` alone), or correct LIVESHELF_KAFKA_BOOTSTRAP_SERVERS",
        )
    except LiveshelfError as error:
        return Diagnosis("broker", False, str(error))
    too_few = {name: count for name, count in partitions.items() if 0 < count < topics.partitions}
    if too_few:
        counts = ", ".join(f"{name} has {count}" for name, count in too_few.items())
        return Diagnosis(
            "broker", False, f"{counts} partitions of {topics.partitions}: set LIVESHELF_TOPIC_PARTITIONS to that"
        )
    missing = [name for name, count in partitions.items() if not count]
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
    except Unavailable:
        return Diagnosis(
            "index",
            False,
            f"Qdrant at {settings.qdrant_url} does not answer: start it (`liveshelf up`, or `liveshelf dev engine` "
            "alone), or correct LIVESHELF_QDRANT_URL, which is the address of Qdrant's gRPC port",
        )
    except LiveshelfError as error:
        return Diagnosis("index", False, str(error))
    finally:
        await client.close()
    expected = collection_name(collection_policy_of(settings), space)
    if served is None:
        return Diagnosis("index", True, f"{settings.qdrant_url} answers; {expected} will be created")
    if served != expected:
        return Diagnosis(
            "index",
            False,
            f"{settings.collection} holds {served}, and this model makes {expected}: use the "
            "model that made it, or another LIVESHELF_COLLECTION",
        )
    return Diagnosis("index", True, f"{settings.qdrant_url} answers and {settings.collection} holds {served}")
