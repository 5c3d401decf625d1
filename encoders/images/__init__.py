"""Photos from where a shop keeps them: fetched within limits, decoded to RGB."""

from encoders.images.decode import decode
from encoders.images.fetcher import Images
from encoders.images.host_circuits import BreakerPolicy
from encoders.images.http_cache import CachePolicy
from encoders.images.policy import ImagePolicy
from encoders.images.retry import AgainPolicy
from encoders.images.s3 import S3Policy

__all__ = ["AgainPolicy", "BreakerPolicy", "CachePolicy", "ImagePolicy", "Images", "S3Policy", "decode"]
