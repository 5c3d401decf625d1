"""The error that the embedded broker and engine raise on purpose."""

from __future__ import annotations


class EmbeddedError(Exception):
    """A broker or an engine cannot run here as configured. The text is one sentence that says what to do next."""
