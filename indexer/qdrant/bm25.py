"""Titles as sparse vectors: BM25, which Qdrant makes itself of the text of a title and of a query."""

from __future__ import annotations

from qdrant_client import grpc, models

LEXICAL = "lexical"

# What a title and a query become words by; both sides must say the same, and a collection keeps it for good.
# - No language: titles come in any, and a stemmer or stop words of the wrong one spoil names ("The North Face", sizes
#   in letters). What only looks different and means the same is the dense channel's to find.
# - Words are runs of letters and digits, Qdrant's default: its multilingual tokenizer drops what is digits alone, and
#   shops search for sizes and model numbers. Titles written without spaces are left to the dense channel as well.
# - Accents are folded: a query is often typed without them.
# - Titles have some ten words; Qdrant expects 256, and would hardly tell a short title from a long one.
_TEMPLATE = grpc.Document(
    model="qdrant/bm25",
    options={
        "language": grpc.Value(string_value="none"),
        "ascii_folding": grpc.Value(bool_value=True),
        "avg_len": grpc.Value(double_value=10.0),
    },
).SerializeToString(deterministic=True)

# How rare a word is among the titles is known to the collection alone, and changes: it is multiplied in as it searches.
PARAMS = models.SparseVectorParams(modifier=models.Modifier.IDF)


def write_document(out: grpc.Document, text: str) -> None:
    """Make `out` the text, to be turned into a vector where it is received. Raises ValueError for lone surrogates."""
    out.MergeFromString(_TEMPLATE)
    out.text = text
