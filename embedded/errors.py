"""The one error the embedded parts raise on purpose."""

from __future__ import annotations


class EmbeddedError(Exception):
    """A broker or an engine cannot run here as asked. The text is one sentence that says what to do next."""
