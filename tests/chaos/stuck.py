"""What the suite raises itself."""


class Stuck(Exception):
    """Something did not come to its end in time; the text says what."""
