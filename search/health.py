"""Whether queries can be answered now."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from catalog.errors import Unavailable
from catalog.ports import ProductReader


@dataclass(frozen=True, slots=True)
class Health:
    """Whether the index answers (`ok`), and why not (`message`).

    `space` is the id of the vector space of queries; `products` is the number of live products.
    """

    ok: bool
    space: str
    products: int | None = None
    message: str = ""


def index_health(
    product_reader: ProductReader, *, space: str, timeout_s: float = 2.0
) -> Callable[[], Awaitable[Health]]:
    """A health check that counts the products of the index. No answer within `timeout_s` seconds is a failure."""

    async def health() -> Health:
        try:
            async with asyncio.timeout(timeout_s):
                return Health(True, space, await product_reader.count())
        except TimeoutError:
            return Health(False, space, message=f"The index did not answer within {timeout_s:g} s.")
        except Unavailable as error:
            return Health(False, space, message=str(error))

    return health
