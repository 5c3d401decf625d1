"""Every setting, typed and documented, in the one place that reads the environment."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from catalog.errors import InvalidInput
from catalog.ingest.image_retry import ImageRetryPolicy
from liveshelf.setting_types import Folders, Names, Ports, Seconds, Url

PREFIX = "LIVESHELF_"


class Settings(BaseSettings):
    """Environment variables named LIVESHELF_ and the field in capitals; lists are comma-separated."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", frozen=True, env_ignore_empty=True)

    # Kafka
    kafka: str = Field("127.0.0.1:9092", description="Bootstrap addresses of the brokers, host:port, comma-separated.")
    kafka_security: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="How to talk to the brokers."
    )
    kafka_sasl: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "SCRAM-SHA-512", description="SASL mechanism, where the security asks for one."
    )
    kafka_username: str | None = Field(None, description="SASL user.")
    kafka_password: SecretStr | None = Field(None, description="SASL password.")
    kafka_ca_file: Path | None = Field(None, description="PEM file of the authority that signed the brokers.")
    group: str = Field("liveshelf", min_length=1, description="Consumer group; workers of one group share the topics.")
    member: str | None = Field(
        None,
        description="Fixed name of this worker in its group, so that a killed one has its partitions back at once.",
    )
    topic: str = Field("products", min_length=1, description="The live topic of product events.")
    backfill_topic: str = Field("products-backfill", min_length=1, description="The topic a back-fill goes through.")
    quarantine_topic: str = Field(
        "products-quarantine", min_length=1, description="Where records go that cannot be applied."
    )
    partitions: int = Field(4, ge=1, le=1000, description="Partitions of the topics that liveshelf creates.")
    replication: int = Field(1, ge=1, le=16, description="Replicas of the topics that liveshelf creates.")

    # Events
    tenant: str = Field("default", min_length=1, max_length=128, description="Tenant of events that name none.")
    max_ahead_s: int = Field(
        86_400,
        ge=0,
        le=100 * 365 * 86_400,
        description="How far ahead of now a version may be that is a time, in seconds; 0: any version is taken.",
    )
    mapping: Path | None = Field(
        None, description="TOML file that says how the shop's own records become events; unset: they are events."
    )

    # The worker
    batch_size: int = Field(
        256,
        ge=1,
        le=4096,
        description="Most records in one batch; how many are taken follows how long the last ones took.",
    )
    batch_wait_ms: int = Field(30, ge=1, le=10_000, description="Longest wait for a batch to fill, in milliseconds.")
    ready_file: Path | None = Field(None, description="File that is there while the process can do its work.")
    drain_seconds: float = Field(20, gt=0, le=600, description="Time to finish what is in flight on SIGTERM.")
    stall_seconds: float = Field(
        300,
        ge=10,
        le=86_400,
        description="The worker ends, to be started anew, when nothing moves for so long although there is work; "
        "at least twice LIVESHELF_QDRANT_TIMEOUT_S is waited.",
    )
    session_seconds: float = Field(
        15,
        ge=6,
        le=300,
        description="After so long without a sign of life of a worker the broker gives its partitions to others.",
    )
    reject_share: float = Field(
        0.5,
        gt=0,
        le=1,
        description="The worker stops when more than this share of a lane's records in a minute is refused; 1: never.",
    )
    reject_least: int = Field(
        100,
        ge=1,
        description="Refusals in a minute below which the worker does not stop; so many may go to quarantine at each "
        "start.",
    )

    # The encoder
    model: str = Field("builtin:small", description="builtin:small, hf:REPO@REVISION or checkpoint:FOLDER.")
    device: str = Field("cpu", description="Where the model runs: cpu, cuda, cuda:1, mps.")
    threads: int | None = Field(
        None,
        ge=1,
        le=256,
        description="Threads of the model's arithmetic, all forwards together; unset: one a core, for queries half.",
    )

    nice: int = Field(
        10,
        ge=0,
        le=19,
        description="How far the worker's encoding stands back behind all else on the machine, above all the search.",
    )
    query_batch: int = Field(
        32, ge=1, le=1024, description="Queries of words that the search service encodes in one forward, at most."
    )
    runtime: Literal["auto", "openvino", "torch"] = Field(
        "auto", description="What runs the model on a CPU; auto: OpenVINO, or torch where that cannot."
    )
    precision: Literal["auto", "int8", "bfloat16", "float32"] = Field(
        "auto",
        description="What the model computes in; bfloat16: where the device does; int8: the same with most of the "
        "backbones in 8 bits, by OpenVINO on CPUs with VNNI; auto: the fastest of these.",
    )

    # Photos
    image_file_roots: Folders = Field((), description="Folders below which file: images may be read; empty: none.")
    image_allow_hosts: Names = Field(
        (), description="Internal hosts that images may come from in spite of their address."
    )
    image_max_bytes: int = Field(20_000_000, ge=1000, description="Largest image file.")
    image_max_pixels: int = Field(50_000_000, ge=1000, description="Largest image, width times height.")
    image_timeout_s: float = Field(10, gt=0, le=300, description="Time for one image from first byte asked to last.")
    image_concurrency: int = Field(32, ge=1, le=1024, description="Images fetched at once.")
    image_per_host: int = Field(8, ge=1, le=1024, description="Images fetched at once from one host.")
    image_allow_ports: Ports = Field(
        (80, 443), description="Ports that images may come from; hosts that are allowed by name may use any."
    )
    image_ca_file: Path | None = Field(
        None, description="PEM file of an authority that signed image hosts of yours, trusted beside the public ones."
    )
    image_cache_mb: int = Field(
        0, ge=0, le=1_000_000, description="Space below LIVESHELF_CACHE for photos that were fetched before; 0: none."
    )
    image_s3_buckets: Names = Field((), description="Buckets that s3: images may come from; empty: none.")
    image_s3_endpoint: Url | None = Field(None, description="Address of an object store that speaks S3; unset: AWS.")

    repair: bool = Field(
        True, description="Whether photos that could not be had are tried again by themselves; false: with a put alone."
    )
    repair_after_s: Seconds = Field(
        tuple(ImageRetryPolicy().delays_s),
        description="Waits before each new try of a photo that could not be had, in seconds; after the last none.",
    )
    placeholder_titles: int = Field(
        50, ge=0, description="A picture on so many different titles is a placeholder and not encoded; 0: none is."
    )

    # The index
    qdrant_url: Url = Field("http://127.0.0.1:6334", description="Qdrant's gRPC address; https for TLS.")
    qdrant_api_key: SecretStr | None = Field(None, description="Qdrant's API key.")
    qdrant_timeout_s: float = Field(30, gt=0, le=600, description="Time for one call of the index.")
    collection: str = Field(
        "products", pattern=r"^[A-Za-z0-9_-]{1,64}$", description="Alias of the collection that is searched and filled."
    )
    indexed_attributes: Names = Field(
        ("brand", "category", "color"), description="Attributes with a payload index, for quick filters."
    )
    parent_attribute: str = Field(
        "parent",
        min_length=1,
        max_length=256,
        description="The attribute that variants of one product share: products like one are none of its variants.",
    )
    hnsw_m: int | None = Field(
        None,
        ge=2,
        le=256,
        description="Links of each vector in the graph of a collection that is yet to be made; unset: Qdrant's choice.",
    )
    hnsw_ef_construct: int | None = Field(
        None,
        ge=4,
        le=10_000,
        description="How widely that graph is searched while it is built; unset: Qdrant's choice.",
    )
    hnsw_ef: int = Field(
        384,
        ge=1,
        le=10_000,
        description="How widely a graph is searched by queries that do not say; more finds more and takes longer.",
    )
    quantized: bool = Field(
        False,
        description="Whether a collection that is yet to be made keeps each vector in 8 bits a number as well, in "
        "memory, and is searched by those.",
    )
    rescore: bool | None = Field(
        None,
        description="Whether the best by quantized vectors are compared again as they are; unset: Qdrant's choice.",
    )
    oversampling: float | None = Field(
        None,
        ge=1,
        le=100,
        description="How many times more than asked for are taken by quantized vectors, to be compared again; unset: "
        "Qdrant's choice.",
    )

    # The search service
    host: str = Field("127.0.0.1", description="Address the search service listens on.")
    port: int = Field(8000, ge=0, le=65535, description="Port of the search service; 0 takes a free one.")
    keys: Path | None = Field(
        None,
        description="File of the API keys that `liveshelf keys` keeps; unset: no key is asked for, and the service "
        "listens on this machine alone.",
    )
    api_key: SecretStr | None = Field(None, description="API key that the commands send to the search service.")
    allowed_hosts: Names = Field(
        (),
        description="Host names that the search service answers to, beside this machine's own; empty: where it listens "
        "on this machine alone those, otherwise any.",
    )
    cors_origins: Names = Field(
        (), description="Origins, as in https://shop.example, whose pages may ask the search service from a browser."
    )
    query_cache_mb: int = Field(
        32, ge=0, le=100_000, description="Memory for the vectors of the texts that were looked for last; 0: none."
    )
    max_in_flight: int = Field(
        32, ge=1, le=4096, description="Requests that the search service works on at once; as many again twice wait."
    )

    # This machine
    data: Path = Field(Path(".liveshelf"), description="Folder of the embedded broker and engine and of the sample.")
    cache: Path = Field(
        Path("~/.cache/liveshelf"),
        description="Folder of what can be made again: the embedded broker's program, models made ready to run.",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="How much is logged.")


def load_settings(**overrides: object) -> Settings:
    """The settings of this process.

    Raises InvalidInput naming each variable that is wrong, why, and what is allowed.
    """
    try:
        return Settings(**{name: value for name, value in overrides.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        raise InvalidInput("; ".join(_sentence(dict(e)) for e in error.errors())) from None


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + name.upper()


def _sentence(error: dict[str, object]) -> str:
    where = error["loc"]
    name = str(where[0]) if isinstance(where, tuple) and where else "?"
    description = Settings.model_fields[name].description if name in Settings.model_fields else ""
    return f"{variable(name)}: {str(error['msg'])[:1].lower()}{str(error['msg'])[1:]}. {description}"


def unknown_variables() -> list[str]:
    """Variables of the environment that look like settings and are none: most likely misspelt."""
    known = {variable(name) for name in Settings.model_fields}
    return sorted(
        name
        for name in os.environ
        if name.startswith(PREFIX) and not name.startswith(PREFIX + "TEST_") and name not in known
    )


def environment(settings: Settings) -> dict[str, str]:
    """This process's environment for a child, with these settings in it."""
    given = settings.model_dump(exclude_defaults=True)
    outside = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    return outside | {variable(name): _text(value) for name, value in given.items() if value is not None}


def _text(value: object) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def secret(value: SecretStr | None) -> str | None:
    """The text of a secret, for the part that sends it."""
    return value.get_secret_value() if value else None
