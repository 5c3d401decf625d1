"""Rejects versions that are times far ahead of now: one would win over every later change of its product."""

from __future__ import annotations

# A version above this is read as milliseconds since the epoch (2001 and later). Counters stay below it.
TIME_LIKE = 10**12
HOUR_MS = 3_600_000


def version_skew_error(version: int, *, now_ms: int, max_skew_ms: int, from_timestamp: bool) -> str | None:
    """The reason to reject a version, None if it is accepted.

    `now_ms` is in milliseconds since the epoch, and a version may be at most `max_skew_ms` ahead of it. With
    `from_timestamp` the version is the record's timestamp, which is a time however small it is.
    """
    if version <= now_ms + max_skew_ms or (version <= TIME_LIKE and not from_timestamp):
        return None
    subject = f"the record's timestamp, {version}, stands for it and" if from_timestamp else str(version)
    return (
        f"version: {subject} is {(version - now_ms) / HOUR_MS:,.0f} h ahead of now (in milliseconds since the epoch), "
        f"and {max_skew_ms / HOUR_MS:,.4g} h are allowed, because it would win over every change until then; correct "
        "the clock, or set LIVESHELF_MAX_VERSION_SKEW_SECONDS to 0 if versions are not times"
    )
