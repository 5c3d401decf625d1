from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.domain.index_query import Fusion, ReciprocalRankFusion, WeightedFusion
from catalog.query.rank_fusion import fused

Channel = list[tuple[str, float]]

SCORES = st.floats(-10, 10, width=32)
CHANNELS = st.dictionaries(st.sampled_from("abcdefgh"), SCORES).map(lambda d: sorted(d.items(), key=lambda i: -i[1]))
WEIGHTS = st.floats(0, 5)
FUSIONS = st.builds(ReciprocalRankFusion, k=st.integers(0, 100), dense=WEIGHTS, lexical=WEIGHTS) | st.builds(
    WeightedFusion, dense=st.floats(0, 1)
)


def share(fusion: Fusion, channel: Channel, item: str) -> float:
    """A channel's contribution to an item's score, as the docstrings of the fusions define it."""
    scores = dict(channel)
    if item not in scores:
        return 0.0
    if isinstance(fusion, ReciprocalRankFusion):
        return 1 / (fusion.k + list(scores).index(item) + 1)
    lowest, highest = min(scores.values()), max(scores.values())
    return 1.0 if lowest == highest else (scores[item] - lowest) / (highest - lowest)


@given(fusion=FUSIONS, dense=CHANNELS, lexical=CHANNELS)
def test_the_fused_ranking_is_the_obvious_one(fusion: Fusion, dense: Channel, lexical: Channel) -> None:
    items = {item for item, _ in dense + lexical}
    expected = {
        item: fusion.dense * share(fusion, dense, item) + fusion.lexical * share(fusion, lexical, item)
        for item in items
    }
    ranking = fused(fusion, dense, lexical)
    assert dict(ranking) == pytest.approx(expected)
    assert [score for _, score in ranking] == sorted((score for _, score in ranking), reverse=True)


def test_equal_scores_keep_the_order_of_the_dense_channel_then_the_lexical() -> None:
    dense, lexical = [("a", 0.9), ("b", 0.8)], [("x", 7.0), ("y", 6.0)]
    assert [item for item, _ in fused(ReciprocalRankFusion(), dense, lexical)] == ["a", "x", "b", "y"]
    assert [item for item, _ in fused(WeightedFusion(), dense, lexical)] == ["a", "x", "b", "y"]


def test_one_channel_alone_keeps_its_order() -> None:
    dense = [("a", 0.9), ("b", 0.8)]
    assert [item for item, _ in fused(ReciprocalRankFusion(), dense, [])] == ["a", "b"]
    assert fused(ReciprocalRankFusion(), [], []) == []
