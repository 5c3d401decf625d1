"""Versions that are times, held against the time: one far ahead would win over every later change of its product."""

from __future__ import annotations

# A version above this is taken for milliseconds since the epoch: 2001 and later. A counter does not get there.
TIME_LIKE = 10**12
HOUR_MS = 3_600_000


def version_skew_error(version: int, *, now_ms: int, most_ms: int, stands_in: bool) -> str | None:
    """Why a version is not to be taken, None where it is.

    `stands_in` says that it is the record's timestamp, which is a time however small. `now_ms` is in milliseconds since
    the epoch, `most_ms` how far ahead of that a version may be.
    """
    if version <= now_ms + most_ms or (version <= TIME_LIKE and not stands_in):
        return None
    what = f"the record's timestamp, {version}, stands for it and" if stands_in else str(version)
    return (
        f"version: {what} is {(version - now_ms) / HOUR_MS:,.0f} h ahead of now (in milliseconds since the epoch), and "
        f"{most_ms / HOUR_MS:,.4g} h are allowed, for it would win over every change until then; correct the clock, or "
        "set LIVESHELF_MAX_VERSION_SKEW_SECONDS to 0 if versions are no times"
    )
