"""Times as a person types them: a moment, or how long ago."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime

import click

UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
SPAN = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([smhdw])\s*")


class Span(click.ParamType):
    """How long, as in 90s, 30m, 2h, 30d, 2w; in milliseconds."""

    name = "span"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        span = value if isinstance(value, int) else span_ms(str(value))
        if span is None:
            self.fail(f"{value!r} is no span of time: give a number and s, m, h, d or w, as in 30d.", param, ctx)
        return span


class When(click.ParamType):
    """A moment in ISO form (UTC unless it says so), or a span before now; in milliseconds since the epoch."""

    name = "when"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        moment = value if isinstance(value, int) else moment_ms(str(value), now_ms=round(time.time() * 1000))
        if moment is None:
            self.fail(
                f"{value!r} is no time: give one like 2026-03-31T14:00, or a span before now like 2h.", param, ctx
            )
        return moment


def span_ms(text: str) -> int | None:
    """A span in milliseconds, None where the text is none."""
    match = SPAN.fullmatch(text)
    return round(float(match[1]) * UNITS_S[match[2]] * 1000) if match else None


def moment_ms(text: str, *, now_ms: int) -> int | None:
    """A moment in milliseconds since the epoch, None where the text is none."""
    if (span := span_ms(text)) is not None:
        return now_ms - span
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def shown(ms: int) -> str:
    """A moment for a person, in UTC; as it is where no calendar reaches."""
    try:
        return f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d %H:%M:%S}"
    except (ValueError, OverflowError, OSError):
        return f"{ms} ms"
