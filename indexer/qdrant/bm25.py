"""BM25 sparse vectors, which Qdrant computes from the text of titles and queries."""

from __future__ import annotations

from qdrant_client import grpc, models

LEXICAL = "lexical"

# The tokenizer settings. Titles and queries must use the same ones, and a collection cannot change them later.
# - No language: titles come in any language, and a wrong stemmer or stop-word list spoils names ("The North Face",
#   sizes in letters). The dense channel finds synonyms and inflections.
# - Words are runs of letters and digits, Qdrant's default. Its multilingual tokenizer drops words of digits only, but
#   shops search for sizes and model numbers. The dense channel handles titles written without spaces.
# - Accents are folded, because queries are often typed without them.
# - Titles have about ten words. Qdrant's default of 256 would hardly distinguish short titles from long ones.
_TEMPLATE = grpc.Document(
    model="qdrant/bm25",
    options={
        "language": grpc.Value(string_value="none"),
        "ascii_folding": grpc.Value(bool_value=True),
        "avg_len": grpc.Value(double_value=10.0),
    },
).SerializeToString(deterministic=True)

# The rarity of a word changes with the titles: the collection multiplies it in at search time.
PARAMS = models.SparseVectorParams(modifier=models.Modifier.IDF)


def write_document(out: grpc.Document, text: str) -> None:
    """Write the text into `out`; Qdrant turns it into a vector. Raises ValueError for lone surrogates."""
    out.MergeFromString(_TEMPLATE)
    out.text = text
