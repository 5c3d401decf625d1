from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from encoders.model import Inputs
from encoders.sizes import ForwardSize, alike

PIXELS = np.zeros((2, 2, 3), dtype=np.uint8)


def size(each: float, *, most: int = 100) -> ForwardSize:
    """What has settled at so many seconds an item, where a forward may take one second."""
    found = ForwardSize(seconds=1.0, most=most)
    for _ in range(50):
        found.took(found.now, found.now * each)
    return found


@pytest.mark.parametrize(("each", "items"), [(0.05, 16), (0.2, 5), (3.0, 1), (0.0, 96)])
def test_a_forward_has_as_many_items_as_take_its_time(each: float, items: int) -> None:
    assert size(each).now == items


def test_a_single_item_that_took_long_says_little() -> None:
    found = size(0.05)
    found.took(1, 0.1)
    assert found.now == 16


def test_what_the_device_had_no_memory_for_is_not_tried_again_at_once() -> None:
    found = size(0.001)
    found.too_large(80)
    assert found.now == 40
    found.took(40, 0.04)
    assert found.now == 40
    for _ in range(200):
        found.took(found.now, found.now * 0.001)
    assert found.now == 96
    found.too_large(1)
    assert found.now == 1


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 64)), max_size=80), st.integers(1, 20), st.integers(1, 20))
def test_every_item_is_in_one_group_with_its_like(items: list[tuple[bool, int]], photos: int, titles: int) -> None:
    batch = [Inputs((1,) * length, PIXELS if photo else None) for photo, length in items]
    sizes = {True: ForwardSize(seconds=1, most=photos), False: ForwardSize(seconds=1, most=titles)}
    groups = alike(batch, sizes)
    assert sorted(i for group in groups for i in group) == list(range(len(batch)))
    for kind, most in ((True, sizes[True].now), (False, sizes[False].now)):
        mine = [group for group in groups if items[group[0]][0] is kind]
        assert all(items[i][0] is kind for group in mine for i in group)
        assert all(len(group) <= most for group in mine)
        assert len({len(group) for group in mine[:-1]}) <= 1
        lengths = [items[i][1] for group in mine for i in group]
        assert lengths == sorted(lengths)
