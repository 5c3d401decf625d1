"""Whether queries can be answered now."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from catalog.errors import Unavailable
from catalog.ports import ProductReader


@dataclass(frozen=True, slots=True)
class Health:
    """`ok` says whether the index answers, `message` what is wrong when it does not.

    `space` names the vectors queries are encoded into; `products` counts the live ones.
    """

    ok: bool
    space: str
    products: int | None = None
    message: str = ""


def index_health(shelf: ProductReader, *, space: str, within: float = 2.0) -> Callable[[], Awaitable[Health]]:
    """A health check that asks the index to count its products, and takes no answer `within` seconds for a no."""

    async def health() -> Health:
        try:
            async with asyncio.timeout(within):
                return Health(True, space, await shelf.count())
        except TimeoutError:
            return Health(False, space, message=f"The index did not answer within {within:g} s.")
        except Unavailable as error:
            return Health(False, space, message=str(error))

    return health
