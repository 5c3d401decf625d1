"""Forward passes that are split in half when the device runs out of memory."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

from catalog.errors import FatalError

T = TypeVar("T")
R = TypeVar("R")


def run_splitting_on_oom(
    forward: Callable[[Sequence[T]], list[R]],
    batch: Sequence[T],
    *,
    on_too_large: Callable[[int], None] = lambda items: None,
) -> list[R]:
    """`forward(batch)` under torch's inference mode. If the device has no memory for the batch, its halves are run.

    `on_too_large` is called with the number of items that did not fit. Raises FatalError if a single item does not fit,
    or if the device is lost.
    """
    try:
        with _inference_mode():
            return forward(batch)
    except _errors("OutOfMemoryError", MemoryError) as err:
        if len(batch) == 1:
            raise FatalError(
                "The device has no memory for a single item: use a larger device or a smaller model."
            ) from err
    except _errors("AcceleratorError") as err:
        raise FatalError("The device that encodes is lost: restart the process.") from err
    # Outside the handler, so that the failed forward's tensors are freed before the cache is emptied.
    on_too_large(len(batch))
    if (torch := _loaded_torch()) and torch.cuda.is_available():
        torch.cuda.empty_cache()
    half = len(batch) // 2
    return run_splitting_on_oom(forward, batch[:half], on_too_large=on_too_large) + run_splitting_on_oom(
        forward, batch[half:], on_too_large=on_too_large
    )


def _loaded_torch() -> Any:
    """Torch if something has imported it, else None: importing it takes longer than the rest of a worker's start."""
    return sys.modules.get("torch")


def _inference_mode() -> AbstractContextManager[object]:
    torch = _loaded_torch()
    return torch.inference_mode() if torch else nullcontext()


def _errors(name: str, *others: type[Exception]) -> tuple[type[Exception], ...]:
    """The error classes to catch: torch's of that name, if torch is loaded, and the others."""
    torch = _loaded_torch()
    return (getattr(torch, name), *others) if torch else others
