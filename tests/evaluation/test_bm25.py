from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest

from evaluation.bm25 import bm25, words
from evaluation.ranking import rank

TITLES = ["Red mug", "Blue mugs, big", "Hat", "", "A red-hot T-shirt", "red red red hat"]


def test_words_ignore_case_hyphens_and_plurals() -> None:
    assert words("Men's T-Shirts & glasses") == ["men", "tshirt", "glasse"]
    assert words("GLASSES") == words("glasse")
    assert words("") == []


@pytest.mark.parametrize("query", ["mug", "red hat", "big red", "t-shirt"])
def test_scores_follow_the_formula(query: str) -> None:
    documents = [words(title) for title in TITLES]
    mean = np.mean([len(document) for document in documents])
    expected = []
    for document in documents:
        score, count = 0.0, Counter(document)
        for word in words(query):
            holders = sum(word in other for other in documents)
            idf = math.log(1 + (len(documents) - holders + 0.5) / (holders + 0.5))
            score += idf * count[word] / (count[word] + 1.5 * (1 - 0.75 + 0.75 * len(document) / mean))
        expected.append(score if score > 0 else -math.inf)
    np.testing.assert_allclose(bm25(TITLES)([query])[0], expected, rtol=1e-5)


def test_a_title_that_shares_no_word_is_not_ranked() -> None:
    assert rank(bm25(TITLES), ["mug", "zebra", ""], k=3).tolist() == [[0, 1, -1], [-1] * 3, [-1] * 3]
    assert rank(bm25(["", ""]), ["mug"], k=2).tolist() == [[-1, -1]]
