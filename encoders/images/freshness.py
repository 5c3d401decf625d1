"""What a host says about keeping its photo. Nothing is guessed from what it does not say.

`headers` are those of an answer, with names in lower case.
"""

from __future__ import annotations

from collections.abc import Mapping

LONGEST_S = 365 * 86_400


def may_keep(headers: Mapping[str, str]) -> bool:
    """Whether the photo may be kept, and whether that would ever spare anything."""
    if "no-store" in _directives(headers) or headers.get("vary", "").strip() == "*":
        return False
    return bool(headers.get("etag") or headers.get("last-modified") or fresh_s(headers))


def fresh_s(headers: Mapping[str, str]) -> float:
    """For how many seconds the photo may be used without asking; 0 where the host does not say."""
    directives = _directives(headers)
    most = _whole(directives.get("max-age", ""))
    if "no-cache" in directives:
        return 0.0
    return float(max(0, min(most, LONGEST_S) - _whole(headers.get("age", ""))))


def _directives(headers: Mapping[str, str]) -> dict[str, str]:
    said = headers.get("cache-control", "").lower()
    return {name.strip(): value.strip(' "') for name, _, value in (part.partition("=") for part in said.split(","))}


def _whole(text: str) -> int:
    return int(text[:10]) if text.isascii() and text.isdigit() else 0
