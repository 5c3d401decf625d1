"""What can go wrong, told apart by what the receiver does about it.

LiveshelfError
├── InvalidInput           the caller asked for something that cannot be: say the sentence, change the request
│   └── NotFound     the caller named a product that is not there
├── Unavailable      a service does not answer: pause, try again later, acknowledge nothing
├── FatalError         trying again cannot help: stop the process, acknowledge nothing
└── ImageProblem     one image cannot be had: the product goes on without it, flagged
"""

from __future__ import annotations

from catalog.domain.image_state import ImageState


class LiveshelfError(Exception):
    """The root of every error raised on purpose. Its text is one sentence a user can act on."""


class InvalidInput(LiveshelfError):
    """What was asked for cannot be done as asked."""


class NotFound(InvalidInput):
    """What was named is not there, or not for the one who asks."""


class Unavailable(LiveshelfError):
    """A service did not answer, or answered that it cannot serve now."""


class FatalError(LiveshelfError):
    """The process cannot do its work, and trying again will not change that."""


class ImageProblem(LiveshelfError):
    """One image could not be fetched or read.

    `state` is what the point will be flagged with; the text is the reason, for a person.
    """

    def __init__(self, state: ImageState, reason: str) -> None:
        super().__init__(reason)
        self.state = state
        self.reason = reason
