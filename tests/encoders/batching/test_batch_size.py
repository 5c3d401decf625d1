from __future__ import annotations

import pytest

from encoders.batching.batch_size import ForwardSize


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
