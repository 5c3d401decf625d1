"""The error that the suite itself raises."""


class NotInTime(Exception):
    """Something did not happen in time; the text says what."""
