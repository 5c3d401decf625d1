"""Photos from where a shop keeps them: fetched within limits, decoded to RGB."""

from encoders.images.decode import decode
from encoders.images.fetch import Images
from encoders.images.policy import ImagePolicy

__all__ = ["ImagePolicy", "Images", "decode"]
