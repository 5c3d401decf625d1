"""The lexical baseline: BM25 over titles."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from evaluation.ranking import Scores

_WORD = re.compile(r"[^\W_]+")


def words(text: str) -> list[str]:
    """The words of a text, in lower case, without hyphens, apostrophes and a plural's s."""
    return [singular(word) for word in _WORD.findall(re.sub(r"[-'’]", "", text.lower()))]


def singular(word: str) -> str:
    """A word without a plural's s."""
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def bm25(titles: Sequence[str]) -> Scores:
    """BM25 in Lucene's form (k1 1.5, b 0.75). A title that shares no word with the query scores -inf."""
    import bm25s

    logging.getLogger("bm25s").setLevel(logging.WARNING)  # bm25s enables its own debug output
    index = bm25s.BM25(method="lucene", k1=1.5, b=0.75)
    documents = [words(title) for title in titles]
    word_ids = {word: i for i, word in enumerate(dict.fromkeys(word for document in documents for word in document))}
    if word_ids:
        index.index(([[word_ids[word] for word in document] for document in documents], word_ids), show_progress=False)

    def scores(texts: Sequence[str]) -> NDArray[np.float32]:
        matrix = np.full((len(texts), len(titles)), -np.inf, np.float32)
        for row, text in zip(matrix, texts, strict=True):
            if query := [word_ids[word] for word in words(text) if word in word_ids]:
                score = index.get_scores_from_ids(query)
                row[:] = np.where(score > 0, score, -np.inf)
        return matrix

    return scores
