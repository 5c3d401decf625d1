"""Photos in S3 or a compatible store: read by pyarrow's client with the credentials of the environment.

The operator sets the endpoint, so the egress guard is not applied. Bucket and key come from events: the policy must
name the bucket, and a key is refused if the client could read it as a path out of its bucket.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

from catalog.domain.image_state import ImageState
from catalog.errors import ImageProblem

REFUSED = ("ACCESS_DENIED", "INVALID_ACCESS_KEY_ID", "SIGNATURE_DOES_NOT_MATCH", "HTTP status 403", "HTTP status 401")
KEY_BYTES = 1024


@dataclass(frozen=True, slots=True)
class S3Policy:
    """`buckets` that photos may come from; none by default. `endpoint` is a URL; None means AWS itself."""

    buckets: tuple[str, ...] = ()
    endpoint: str | None = None
    threads: int = 8


class S3Images:
    """Objects of the allowed buckets. The client is created at the first read."""

    def __init__(self, policy: S3Policy, *, connect_timeout_s: float, read_timeout_s: float) -> None:
        self._policy = policy
        self._connect_timeout_s = connect_timeout_s
        self._read_timeout_s = read_timeout_s
        self._pool = ThreadPoolExecutor(policy.threads, thread_name_prefix="s3")

    def aclose(self) -> None:
        """Start no more reads. A read that hangs ends by its own timeout."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def path_of(self, url: str) -> str:
        """The bucket and key of a URL, as bucket/key. Raises ImageProblem BLOCKED or MISSING.

        The key is used literally: it is not percent-decoded, and `?` and `#` belong to it.
        """
        bucket, _, key = url.partition("://")[2].partition("/")
        if bucket not in self._policy.buckets:
            raise ImageProblem(ImageState.BLOCKED, f"the bucket {bucket[:63]} is not allowed")
        if not key or len(key.encode()) > KEY_BYTES or not key.isprintable():
            raise ImageProblem(ImageState.MISSING, f"the s3: URL has no valid key in the bucket {bucket}")
        if any(part in ("", ".", "..") for part in key.split("/")):
            reason = "the key of the s3: URL has an empty part or a part of dots, which may lead out of its bucket"
            raise ImageProblem(ImageState.BLOCKED, reason)
        return f"{bucket}/{key}"

    async def read(self, path: str, max_bytes: int, timeout_s: float) -> bytes | None:
        """The bytes of an object; None if it has more than `max_bytes`. Raises ImageProblem."""
        try:
            async with asyncio.timeout(timeout_s):
                return await asyncio.get_running_loop().run_in_executor(self._pool, self._get, path, max_bytes)
        except FileNotFoundError as err:
            raise ImageProblem(ImageState.MISSING, "the object or its bucket does not exist") from err
        except TimeoutError as err:
            raise ImageProblem(ImageState.UNAVAILABLE, "the object store did not send the image in time") from err
        except OSError as err:
            if any(code in str(err) for code in REFUSED):
                reason = "the object store denies access to the image: allow its credentials to read it"
                raise ImageProblem(ImageState.BLOCKED, reason) from err
            raise ImageProblem(ImageState.UNAVAILABLE, f"the object store failed: {_reason(err)}") from err

    def _get(self, path: str, max_bytes: int) -> bytes | None:
        with self._client.open_input_file(path) as file:
            return None if file.size() > max_bytes else bytes(file.read())

    @cached_property
    def _client(self) -> Any:
        from pyarrow import fs

        endpoint = urlsplit(self._policy.endpoint or "")
        return fs.S3FileSystem(
            scheme="http" if endpoint.scheme == "http" else "https",
            endpoint_override=endpoint.netloc + endpoint.path or None,
            connect_timeout=self._connect_timeout_s,
            request_timeout=self._read_timeout_s,
            retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=1),
        )


def _reason(err: OSError) -> str:
    """The client's message without the key, which may be long."""
    return str(err).rpartition("AWS Error ")[2][:200]
