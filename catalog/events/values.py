"""What a shop's column values mean: prices, versions, flags and availability.

Mappings of live records and back-fills of catalogue files read the same forms. Each function returns None for a value
that it cannot read; the caller refuses it or keeps it as it is.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import TypeGuard

TRUE = frozenset({"true", "t", "yes", "y", "1"})
FALSE = frozenset({"false", "f", "no", "n", "0", ""})
AVAILABLE = frozenset({"in stock", "instock", "available", "preorder", "backorder", "limited availability"})
UNAVAILABLE = frozenset({"out of stock", "outofstock", "unavailable", "sold out", "soldout", "discontinued"})
NUMBER = re.compile(r"-?\d{1,30}(\.\d{0,30})?", re.ASCII)
PRICE = re.compile(r"(?P<amount>-?\d{1,30}(\.\d{0,30}|,\d{1,2})?)\s*(?P<currency>[A-Z]{3})?", re.ASCII)
INTEGER = re.compile(r"\d{1,20}", re.ASCII)
FAR = 10**20  # above any version that an event can have
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Price:
    """An amount, and its currency if the text names one."""

    amount: float
    currency: str | None = None


def read_price(value: object) -> Price | None:
    """A number, or text such as `12.50`, `12,50` or `43.67 EUR`. Negative amounts are for the parser to refuse."""
    if isinstance(value, str):
        match = PRICE.fullmatch(value.strip())
        return Price(float(match["amount"].replace(",", ".")), match["currency"]) if match else None
    try:
        amount = float(value) if _is_number(value) else math.inf
    except OverflowError:
        return None
    return Price(amount) if math.isfinite(amount) else None


def read_version(value: object, *, times: bool = True) -> int | None:
    """An integer of 0 or more, or a time as milliseconds since the epoch.

    With `times`, text in ISO form and date and time objects are times, in UTC if they name no zone.
    """
    if isinstance(value, str):
        text = value.strip()
        if INTEGER.fullmatch(text):
            return int(text)
        return _milliseconds(text) if times else None
    if isinstance(value, date):
        return _milliseconds(value) if times else None
    return int(value) if _is_number(value) and 0 <= value < FAR and value == int(value) else None


def read_flag(value: object) -> bool | None:
    """True or false, a word for one of them, or a number: above 0 is true."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        word = value.strip().lower()
        if word in TRUE or word in FALSE:
            return word in TRUE
        return float(word) > 0 if NUMBER.fullmatch(word) else None
    return value > 0 if _is_number(value) else None


def read_availability(value: object) -> bool | None:
    """A flag, a number of pieces, or a word of product feeds such as `in_stock` or `sold out`."""
    if isinstance(value, str):
        word = value.strip().lower().replace("_", " ")
        if word in AVAILABLE or word in UNAVAILABLE:
            return word in AVAILABLE
    return read_flag(value)


def _is_number(value: object) -> TypeGuard[int | float | Decimal]:
    """Whether it is a finite number, which True and False are not."""
    if isinstance(value, Decimal):
        return value.is_finite()
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool)


def _milliseconds(value: str | date) -> int | None:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        return None
    if not isinstance(moment, datetime):
        moment = datetime.combine(moment, time())
    return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - EPOCH) // MILLISECOND
