"""Photos from where a shop keeps them: fetched within limits, decoded to RGB."""

from encoders.images.again import AgainPolicy
from encoders.images.breaker import BreakerPolicy
from encoders.images.cache import CachePolicy
from encoders.images.decode import decode
from encoders.images.fetch import Images
from encoders.images.policy import ImagePolicy
from encoders.images.s3 import S3Policy

__all__ = ["AgainPolicy", "BreakerPolicy", "CachePolicy", "ImagePolicy", "Images", "S3Policy", "decode"]
