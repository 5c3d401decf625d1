"""A hook of MkDocs: a fence may say after its language what the tests do with the block, as in "json event"."""

from __future__ import annotations

import re
from typing import Any

FENCE = re.compile(r"^```(\w+) \w+$", re.MULTILINE)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """The page with the language of each fence alone, which is all that the highlighter reads."""
    return FENCE.sub(r"```\1", markdown)
