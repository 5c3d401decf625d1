"""Every setting, typed and documented, in the one place that reads the environment and the configuration file."""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from catalog.errors import InvalidInput
from catalog.ingest.image_retry import ImageRetryPolicy
from liveshelf.setting_types import Folders, LogLevel, Names, Ports, Seconds, Secret, Url, joined

PREFIX = "LIVESHELF_"
TEST_PREFIX = PREFIX + "TEST_"
CONFIG = PREFIX + "CONFIG"
# What Kubernetes puts into every container for a Service whose name begins with liveshelf.
_SERVICE_LINK = re.compile(r"_SERVICE_(HOST|PORT)(_\w+)?$|_PORT_\d+_(TCP|UDP|SCTP)(_\w+)?$")


class Settings(BaseSettings):
    """The settings of one process; `load_settings` makes them.

    A setting comes from the environment variable LIVESHELF_ and its name in capitals, or else from the file that
    LIVESHELF_CONFIG names. Lists are comma-separated in the environment and arrays in the file.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", frozen=True, env_ignore_empty=True)

    # Kafka
    kafka_bootstrap_servers: str = Field(
        "127.0.0.1:9092",
        description="Addresses of the Kafka brokers, host:port, comma-separated. One that answers is enough.",
    )
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="Security protocol of the brokers."
    )
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "SCRAM-SHA-512", description="SASL mechanism. Used only if the security protocol is SASL_PLAINTEXT or SASL_SSL."
    )
    kafka_sasl_username: str | None = Field(None, description="SASL user name.")
    kafka_sasl_password: Secret | None = Field(None, description="SASL password.")
    kafka_ssl_ca_file: Path | None = Field(
        None,
        description=(
            "PEM file of the certificate authority that signed the brokers' certificates. Unset: the system's "
            "authorities."
        ),
    )
    kafka_group_id: str = Field(
        "liveshelf",
        min_length=1,
        description="Consumer group of the workers. Workers of one group share the partitions of both topics.",
    )
    kafka_group_instance_id: str | None = Field(
        None,
        description=(
            "Name of this worker in its group, unique and the same after a restart. A worker that returns in time "
            "keeps its partitions. Unset: the group reassigns them."
        ),
    )
    kafka_session_timeout_seconds: float = Field(
        15,
        ge=6,
        le=300,
        description="Seconds without a heartbeat after which the broker gives a worker's partitions to other workers.",
    )
    live_topic: str = Field("products", min_length=1, description="Topic of the live product events.")
    backfill_topic: str = Field(
        "products-backfill", min_length=1, description="Topic of the events that a back-fill sends."
    )
    quarantine_topic: str = Field(
        "products-quarantine", min_length=1, description="Topic of the records that cannot be applied."
    )
    topic_partitions: int = Field(
        4,
        ge=1,
        le=1000,
        description=(
            "Partitions of the topics that liveshelf creates: the largest number of workers that can share them. "
            "Existing topics must have at least as many."
        ),
    )
    topic_replication_factor: int = Field(
        1,
        ge=1,
        le=16,
        description="Replication factor of the topics that liveshelf creates. Existing topics are not changed.",
    )

    # Events
    default_tenant: str = Field(
        "default", min_length=1, max_length=128, description="Tenant of events and requests that name none."
    )
    max_version_skew_seconds: float = Field(
        86_400,
        ge=0,
        le=100 * 365 * 86_400,
        description="Seconds that a version may be in the future, if it is a time. 0 accepts every version.",
    )
    mapping_file: Path | None = Field(
        None,
        description="TOML file that maps the shop's own records to product events. Unset: records are product events.",
    )

    # Worker
    batch_max_records: int = Field(
        256,
        ge=1,
        le=4096,
        description="Largest number of records in a batch. The worker takes fewer if recent batches were slow.",
    )
    batch_max_wait_seconds: float = Field(
        0.03, gt=0, le=10, description="Longest time in seconds that a batch waits to fill."
    )
    ready_file: Path | None = Field(
        None, description="File that exists only while the process is ready. Unset: no file."
    )
    drain_timeout_seconds: float = Field(
        20, gt=0, le=600, description="Seconds that a worker has after SIGTERM to finish and commit the work in flight."
    )
    stall_timeout_seconds: float = Field(
        300,
        ge=10,
        le=86_400,
        description=(
            "Seconds without progress after which a worker with work to do exits, so that it is restarted. At "
            "least twice LIVESHELF_QDRANT_TIMEOUT_SECONDS is used."
        ),
    )
    reject_max_share: float = Field(
        0.5,
        gt=0,
        le=1,
        description=(
            "Largest share of a lane's records in a minute that may be rejected. Above it the worker stops. 1 "
            "never stops it."
        ),
    )
    reject_min_count: int = Field(
        100,
        ge=1,
        description=(
            "Number of rejected records in a minute below which LIVESHELF_REJECT_MAX_SHARE does not stop the worker."
        ),
    )

    # Encoder
    model: str = Field(
        "builtin:small",
        description=(
            "Model: builtin:small, checkpoint:FOLDER, hf:REPO@REVISION or hf:FOLDER. Worker and search service "
            "must use the same."
        ),
    )
    device: str = Field("cpu", description="Device of the model: cpu, cuda, cuda:1 or mps.")
    encoder_threads: int | None = Field(
        None,
        ge=1,
        le=256,
        description=(
            "Threads of the model's arithmetic, all forward passes together. Unset: as many as cores, in the "
            "search service half as many."
        ),
    )
    worker_nice: int = Field(
        10,
        ge=0,
        le=19,
        description=(
            "Nice value of the worker's decoding and encoding threads, from 0 to 19. Higher values leave more "
            "processor time to the search service."
        ),
    )
    query_batch_max_size: int = Field(
        32, ge=1, le=1024, description="Largest number of text queries that one forward pass encodes."
    )
    runtime: Literal["auto", "openvino", "torch"] = Field(
        "auto",
        description="Runtime of the model on a CPU. auto uses OpenVINO, and torch if OpenVINO is missing or fails.",
    )
    precision: Literal["auto", "int8", "bfloat16", "float32"] = Field(
        "auto",
        description=(
            "Precision of the model. int8 computes most of the backbones in 8 bits (OpenVINO, CPUs with VNNI). "
            "bfloat16 needs a device with bfloat16. auto takes the fastest one."
        ),
    )

    # Images
    image_file_roots: Folders = Field((), description="Folders below which workers may read file: images. Empty: none.")
    image_allow_hosts: Names = Field(
        (),
        description=(
            "Hosts, addresses or networks that images may come from although they are not public. They may use "
            "any port. Empty: none."
        ),
    )
    image_max_bytes: int = Field(20_000_000, ge=1000, description="Largest image file, in bytes.")
    image_max_pixels: int = Field(50_000_000, ge=1000, description="Largest image, in pixels (width times height).")
    image_timeout_seconds: float = Field(
        10, gt=0, le=300, description="Seconds for one image, including redirects and retries."
    )
    image_concurrency: int = Field(32, ge=1, le=1024, description="Images that a process fetches at the same time.")
    image_concurrency_per_host: int = Field(
        8, ge=1, le=1024, description="Images that a process fetches from one host at the same time."
    )
    image_allow_ports: Ports = Field(
        (80, 443), description="Ports that images may come from. Hosts in LIVESHELF_IMAGE_ALLOW_HOSTS may use any port."
    )
    image_ca_file: Path | None = Field(
        None,
        description=(
            "PEM file of a certificate authority that is trusted for image hosts, in addition to the public ones. "
            "Unset: only the public ones."
        ),
    )
    image_cache_mb: int = Field(
        0,
        ge=0,
        le=1_000_000,
        description="Megabytes for the HTTP cache of images below LIVESHELF_CACHE_DIR. 0: no cache.",
    )
    image_s3_buckets: Names = Field((), description="Buckets that s3: images may come from. Empty: none.")
    image_s3_endpoint: Url | None = Field(None, description="Address of an S3-compatible object store. Unset: AWS.")
    image_retry: bool = Field(
        True,
        description="Retry failed image downloads automatically. false: retry only when the product is put again.",
    )
    image_retry_delays_seconds: Seconds = Field(
        tuple(ImageRetryPolicy().delays_s),
        description="Waits in seconds before each automatic retry of an image. After the last, only a new put retries.",
    )
    placeholder_min_titles: int = Field(
        50,
        ge=0,
        description=(
            "Number of different titles from which a shared image is a placeholder and is not encoded. 0: no "
            "image is a placeholder."
        ),
    )

    # Index
    qdrant_url: Url = Field("http://127.0.0.1:6334", description="Address of Qdrant's gRPC port. https:// uses TLS.")
    qdrant_api_key: Secret | None = Field(None, description="API key of Qdrant. Unset: no key is sent.")
    qdrant_timeout_seconds: float = Field(30, gt=0, le=600, description="Deadline in seconds of one call to Qdrant.")
    collection: str = Field(
        "products",
        pattern=r"^[A-Za-z0-9_-]{1,64}$",
        description="Alias of the collection that serves. Each vector space has a collection of its own behind it.",
    )
    indexed_attributes: Names = Field(
        ("brand", "category", "color"),
        description=(
            "Attributes with a payload index, for fast filters and for facets. A worker creates missing indexes "
            "when it starts."
        ),
    )
    parent_attribute: str = Field(
        "parent",
        min_length=1,
        max_length=256,
        description="Attribute that all variants of a product share. `similar` leaves out a product's own variants.",
    )
    hnsw_m: int | None = Field(
        None,
        ge=2,
        le=256,
        description="Links of each vector in the HNSW graph of a new collection. Unset: Qdrant's default.",
    )
    hnsw_ef_construct: int | None = Field(
        None,
        ge=4,
        le=10_000,
        description="Search width while the HNSW graph of a new collection is built. Unset: Qdrant's default.",
    )
    hnsw_ef: int = Field(
        384,
        ge=1,
        le=10_000,
        description="Search width in the HNSW graph for queries without `ef`. Higher values find more and take longer.",
    )
    quantization: Literal["none", "int8"] = Field(
        "none",
        description="Quantization of the vectors of a new collection. int8 searches 8-bit copies that stay in memory.",
    )
    quantization_rescore: bool | None = Field(
        None, description="Rescore the best quantized hits with the full vectors. Unset: Qdrant's default."
    )
    quantization_oversampling: float | None = Field(
        None,
        ge=1,
        le=100,
        description=(
            "Multiple of the requested hits that is taken from the quantized vectors before rescoring. Unset: "
            "Qdrant's default."
        ),
    )

    # Search service
    search_host: str = Field(
        "127.0.0.1", description="Address that the search service listens on, and that commands send queries to."
    )
    search_port: int = Field(8000, ge=0, le=65535, description="Port of the search service. 0 takes a free port.")
    api_keys_file: Path | None = Field(
        None,
        description=(
            "File of the API keys that `liveshelf keys` manages. Unset: no key is needed, and the service listens "
            "on this machine only."
        ),
    )
    client_api_key: Secret | None = Field(
        None, description="API key that the commands send to the search service. Unset: no key is sent."
    )
    allowed_hosts: Names = Field(
        (),
        description=(
            "Host names that the search service answers to, in addition to this machine's own. Empty: only its "
            "own if it listens on this machine only, otherwise any."
        ),
    )
    cors_origins: Names = Field(
        (), description="Origins, such as https://shop.example, whose pages may call the search service. Empty: none."
    )
    query_cache_mb: int = Field(
        32, ge=0, le=100_000, description="Megabytes for the vectors of recent text queries. 0: no cache."
    )
    max_requests_in_flight: int = Field(
        32,
        ge=1,
        le=4096,
        description="Requests served at the same time. Up to twice as many more wait; the rest get status 429.",
    )

    # Machine
    data_dir: Path = Field(
        Path(".liveshelf"),
        description="Folder of the embedded broker, the embedded engine, their logs and the sample catalogue.",
    )
    cache_dir: Path = Field(
        Path("~/.cache/liveshelf"),
        description=(
            "Folder of files that can be made again: Kafka's program, models prepared for a runtime, cached images."
        ),
    )
    log_level: LogLevel = Field("INFO", description="Lowest level that is logged. Upper or lower case.")

    @property
    def sample_dir(self) -> Path:
        """Folder of the sample catalogue."""
        return self.data_dir.resolve() / "sample"

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy with other values. Raises TypeError for a name that is not a setting; pydantic would take it."""
        if unknown := set(update or ()) - set(type(self).model_fields):
            raise TypeError(f"not settings: {', '.join(sorted(unknown))}")
        return super().model_copy(update=update, deep=deep)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments first, then the environment, then the configuration file."""
        return init_settings, env_settings, _ConfigFile(settings_cls)


class _ConfigFile(PydanticBaseSettingsSource):
    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        return None, field_name, False  # only __call__ is used

    def __call__(self) -> dict[str, Any]:
        return dict(_configured())


def load_settings(**overrides: object) -> Settings:
    """The settings of this process; `overrides` that are not None win over the environment and the file.

    Raises InvalidInput that names each wrong or unknown variable or key, its value, and what is allowed.
    """
    if unknown := sorted(set(overrides) - set(Settings.model_fields)):
        raise TypeError(f"not settings: {', '.join(unknown)}")
    if unknown := unknown_variables():
        known = [variable(field) for field in Settings.model_fields]
        raise InvalidInput(" ".join(_unknown(name, known) for name in unknown) + _SEE)
    try:
        return Settings(**{name: value for name, value in overrides.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        raise InvalidInput("; ".join(_sentence(dict(e)) for e in error.errors())) from None


_SEE = " docs/settings.md lists all settings."


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + name.upper()


def unknown_variables() -> list[str]:
    """Environment variables that begin as settings do and are none: most likely misspelt."""
    known = {variable(name) for name in Settings.model_fields} | {CONFIG}
    return sorted(
        name
        for name in os.environ
        if name.startswith(PREFIX)
        and not name.startswith(TEST_PREFIX)
        and name not in known
        and not _SERVICE_LINK.search(name)
    )


def _unknown(name: str, known: Collection[str]) -> str:
    near = {other.lower(): other for other in known}
    best = difflib.get_close_matches(name.lower(), near, n=1)
    return f"{name} is not a setting" + (f": did you mean {near[best[0]]}?" if best else ".")


def _configured() -> Mapping[str, Any]:
    """The keys of the file that LIVESHELF_CONFIG names. Raises InvalidInput."""
    path = os.environ.get(CONFIG)
    if not path:
        return {}
    try:
        table = tomllib.loads(Path(path).read_text("utf-8-sig"))
    except OSError as error:
        raise InvalidInput(f"{CONFIG}={path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{CONFIG}={path} is not TOML ({error}): write one `name = value` a line") from None
    for key, value in table.items():
        if isinstance(value, dict):
            raise InvalidInput(
                f"{path}: [{key}] is a table: write the settings at the top of the file, without a table."
            )
        if key not in Settings.model_fields:
            raise InvalidInput(f"{path}: {_unknown(key, Settings.model_fields)}{_SEE}")
    return table


def _sentence(error: Mapping[str, Any]) -> str:
    name = str(error["loc"][0]) if error["loc"] else "?"
    field = Settings.model_fields.get(name)
    secret_ = field is not None and "SecretStr" in str(field.annotation)
    value = "" if secret_ else f"={error['input']}"
    message = re.sub(
        r"^(Input|String|Value|List|Tuple) (?=should)", "", str(error["msg"]).removeprefix("Value error, ")
    )
    from_file = variable(name) not in os.environ and name in _configured()
    where = f"{os.environ[CONFIG]}: {name}" if from_file else variable(name)
    hint = " Kubernetes sets this for a Service of that name: set enableServiceLinks: false." * ("=tcp://" in value)
    return f"{where}{value}: the value {message}. {field.description if field else ''}{hint}".rstrip()


def environment(settings: Settings) -> dict[str, str]:
    """This process's environment for a child process, with these settings in it."""
    given = settings.model_dump(exclude_defaults=True)
    outside = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    return outside | {variable(name): _text(value) for name, value in given.items() if value is not None}


def _text(value: object) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return joined(value) if isinstance(value, tuple) else str(value)


def secret(value: SecretStr | None) -> str | None:
    """The text of a secret, for the component that sends it."""
    return value.get_secret_value() if value else None
