"""BM25 sparse vectors of texts: the options of a document -> the engine's own BM25."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import qdrant_edge as edge
from qdrant_client import grpc as pb

from embedded.engine.codec.payload import to_payload
from embedded.engine.codec.status import invalid, unsupported

_TOKENIZERS = {
    "word": edge.TokenizerType.Word,
    "whitespace": edge.TokenizerType.Whitespace,
    "prefix": edge.TokenizerType.Prefix,
    "multilingual": edge.TokenizerType.Multilingual,
}
_PLAIN = frozenset({"k", "b", "avg_len", "lowercase", "ascii_folding", "min_token_len", "max_token_len"})


def bm25(options: Mapping[str, pb.Value]) -> edge.Bm25:
    """BM25 with a document's options. Refuses unsupported options by name, and invalid values."""
    try:
        return _build(tuple(sorted(to_payload(options).items())))
    except TypeError as error:  # a list or an object
        raise unsupported(f"Document.options with lists or objects ({error})") from error


@lru_cache(maxsize=32)
def _build(options: tuple[tuple[str, Any], ...]) -> edge.Bm25:
    config: dict[str, Any] = {}
    for name, value in options:
        if name in _PLAIN:
            config[name] = value
        elif name == "tokenizer" and value in _TOKENIZERS:
            config[name] = _TOKENIZERS[value]
        elif name == "language" and value == "none":
            # On a server this means neither stop words nor a stemmer. The engine needs both settings.
            config["stopwords"], config["stemmer"] = edge.StopwordsSet(), edge.DisabledStemmer()
        elif name == "language":
            config[name] = value
        else:
            raise unsupported(f"Document.options {name}: {value!r}")
    try:
        return edge.Bm25(edge.Bm25Config(**config))
    except ValueError as error:
        raise invalid(f"Invalid BM25 config: {error}") from error
