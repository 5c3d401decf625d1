"""All errors raised on purpose, classified by how the caller reacts.

LiveshelfError
├── InvalidInput     the request cannot be carried out: report the sentence, change the request
│   └── NotFound     the named product does not exist
├── Unavailable      a service does not answer: pause, retry later, acknowledge nothing
├── FatalError       a retry cannot help: stop the process, acknowledge nothing
└── ImageProblem     one image cannot be fetched or read: continue without it and flag the product
"""

from __future__ import annotations

from catalog.domain.image_state import ImageState


class LiveshelfError(Exception):
    """The base of every error raised on purpose. Its text is one sentence a user can act on."""


class InvalidInput(LiveshelfError):
    """The request cannot be carried out as given."""


class NotFound(InvalidInput):
    """The named thing does not exist, or the caller may not see it."""


class Unavailable(LiveshelfError):
    """A service did not answer, or answered that it cannot serve now."""


class FatalError(LiveshelfError):
    """The process cannot do its work, and a retry will not change that."""


class ImageProblem(LiveshelfError):
    """One image could not be fetched or read.

    `state` is the flag that the point gets. The text is the reason, for a person.
    """

    def __init__(self, state: ImageState, reason: str) -> None:
        super().__init__(reason)
        self.state = state
        self.reason = reason
