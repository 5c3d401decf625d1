"""A batch that does not fit into the device's memory is run in halves."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from catalog.errors import FatalError
from encoders.batching.oom_split import run_splitting_on_oom


def room_for(capacity: int, sizes: list[int]) -> object:
    def forward(batch: Sequence[int]) -> list[int]:
        sizes.append(len(batch))
        if len(batch) > capacity:
            raise torch.OutOfMemoryError("no room")
        return [10 * item for item in batch]

    return forward


def test_a_batch_too_large_for_the_device_goes_is_split_and_its_results_keep_their_order() -> None:
    sizes, refused = list[int](), list[int]()
    results = run_splitting_on_oom(room_for(3, sizes), list(range(10)), on_too_large=refused.append)  # type: ignore[arg-type]
    assert results == [10 * i for i in range(10)]
    assert sizes == [10, 5, 2, 3, 5, 2, 3]
    assert refused == [10, 5, 5]


def test_it_runs_under_inference_mode() -> None:
    assert run_splitting_on_oom(lambda batch: [torch.is_inference_mode_enabled()], [1]) == [True]


def test_one_item_too_large_for_the_device_is_fatal() -> None:
    with pytest.raises(FatalError, match="larger"):
        run_splitting_on_oom(room_for(0, []), [1, 2])  # type: ignore[arg-type]


def test_a_lost_device_is_fatal() -> None:
    def forward(batch: Sequence[int]) -> list[int]:
        raise torch.AcceleratorError("CUDA error: unspecified launch failure")

    with pytest.raises(FatalError, match="restart"):
        run_splitting_on_oom(forward, [1])
