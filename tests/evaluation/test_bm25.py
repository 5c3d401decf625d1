from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest

from evaluation.bm25 import bm25, words
from evaluation.ranking import rank

TITLES = ["Red mug", "Blue mugs, big", "Hat", "", "A red-hot T-shirt", "red red red hat"]


def test_words_are_indifferent_to_case_hyphens_and_plurals() -> None:
    assert words("Men's T-Shirts & glasses") == ["men", "tshirt", "glasse"]
    assert words("GLASSES") == words("glasse")
    assert words("") == []


@pytest.mark.parametrize("query", ["mug", "red hat", "big red", "t-shirt"])
def test_scores_are_those_of_the_formula(query: str) -> None:
    told = [words(title) for title in TITLES]
    mean = np.mean([len(title) for title in told])
    expected = []
    for title in told:
        score, count = 0.0, Counter(title)
        for word in words(query):
            holders = sum(word in other for other in told)
            idf = math.log(1 + (len(told) - holders + 0.5) / (holders + 0.5))
            score += idf * count[word] / (count[word] + 1.5 * (1 - 0.75 + 0.75 * len(title) / mean))
        expected.append(score if score > 0 else -math.inf)
    np.testing.assert_allclose(bm25(TITLES)([query])[0], expected, rtol=1e-5)


def test_a_title_that_shares_no_word_is_not_found() -> None:
    assert rank(bm25(TITLES), ["mug", "zebra", ""], k=3).tolist() == [[0, 1, -1], [-1] * 3, [-1] * 3]
    assert rank(bm25(["", ""]), ["mug"], k=2).tolist() == [[-1, -1]]
