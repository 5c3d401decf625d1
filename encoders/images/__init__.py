"""Fetches a shop's photos within limits and decodes them to RGB."""

from encoders.images.decode import decode
from encoders.images.fetcher import ImageFetcher
from encoders.images.host_circuits import HostCircuitPolicy
from encoders.images.http_cache import HttpCachePolicy
from encoders.images.policy import ImagePolicy
from encoders.images.retry import FetchRetryPolicy
from encoders.images.s3 import S3Policy

__all__ = [
    "FetchRetryPolicy",
    "HostCircuitPolicy",
    "HttpCachePolicy",
    "ImageFetcher",
    "ImagePolicy",
    "S3Policy",
    "decode",
]
