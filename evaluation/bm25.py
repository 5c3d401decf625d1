"""The lexical channel that a model is compared with: BM25 over titles."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from evaluation.ranking import Scores

_WORD = re.compile(r"[^\W_]+")


def words(text: str) -> list[str]:
    """The words of a text, indifferent to case, hyphens, apostrophes and a plural's s."""
    return [singular(word) for word in _WORD.findall(re.sub(r"[-'’]", "", text.lower()))]


def singular(word: str) -> str:
    """A word without a plural's s."""
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def bm25(titles: Sequence[str]) -> Scores:
    """Scores by BM25 in Lucene's form (k1 1.5, b 0.75); -inf for a title that shares no word with the query."""
    import bm25s

    logging.getLogger("bm25s").setLevel(logging.WARNING)  # it turns its own debugging on
    index = bm25s.BM25(method="lucene", k1=1.5, b=0.75)
    told = [words(title) for title in titles]
    number = {word: i for i, word in enumerate(dict.fromkeys(word for title in told for word in title))}
    if number:
        index.index(([[number[word] for word in title] for title in told], number), show_progress=False)

    def scores(texts: Sequence[str]) -> NDArray[np.float32]:
        found = np.full((len(texts), len(titles)), -np.inf, np.float32)
        for row, text in zip(found, texts, strict=True):
            if asked := [number[word] for word in words(text) if word in number]:
                score = index.get_scores_from_ids(asked)
                row[:] = np.where(score > 0, score, -np.inf)
        return found

    return scores
