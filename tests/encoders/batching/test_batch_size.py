from __future__ import annotations

import pytest

from encoders.batching.batch_size import ForwardSize


def size(each: float, *, max_items: int = 100) -> ForwardSize:
    """A size after many forward passes of `each` seconds an item, at most one second a pass."""
    forward_size = ForwardSize(seconds=1.0, max_items=max_items)
    for _ in range(50):
        forward_size.took(forward_size.now, forward_size.now * each)
    return forward_size


@pytest.mark.parametrize(("each", "items"), [(0.05, 16), (0.2, 5), (3.0, 1), (0.0, 96)])
def test_a_forward_has_as_many_items_as_take_its_time(each: float, items: int) -> None:
    assert size(each).now == items


def test_a_single_item_that_took_long_says_little() -> None:
    forward_size = size(0.05)
    forward_size.took(1, 0.1)
    assert forward_size.now == 16


def test_what_the_device_had_no_memory_for_is_not_tried_again_at_once() -> None:
    forward_size = size(0.001)
    forward_size.too_large(80)
    assert forward_size.now == 40
    forward_size.took(40, 0.04)
    assert forward_size.now == 40
    for _ in range(200):
        forward_size.took(forward_size.now, forward_size.now * 0.001)
    assert forward_size.now == 96
    forward_size.too_large(1)
    assert forward_size.now == 1
