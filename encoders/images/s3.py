"""Photos in S3, or in what speaks its protocol: read with the credentials of the environment, by pyarrow's client.

The endpoint is the operator's, so the guard of addresses has no say here. Bucket and key come from events: a bucket has
to be named in the policy, and a key is taken only where the client cannot read it as a path to another place.
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
    """The `buckets` that photos may come from; none by default. `endpoint` is a URL; None: AWS itself."""

    buckets: tuple[str, ...] = ()
    endpoint: str | None = None
    threads: int = 8


class S3Images:
    """Objects of the allowed buckets. The client is made when the first is asked for."""

    def __init__(self, policy: S3Policy, *, connect_timeout_s: float, read_timeout_s: float) -> None:
        self._policy = policy
        self._connect_timeout_s = connect_timeout_s
        self._read_timeout_s = read_timeout_s
        self._pool = ThreadPoolExecutor(policy.threads, thread_name_prefix="s3")

    def aclose(self) -> None:
        """Start nothing more. A read that hangs ends by its own time-out."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def place(self, url: str) -> str:
        """The bucket and key of a URL, as bucket/key. Raises ImageProblem BLOCKED or MISSING.

        A key is taken as it stands: it is not percent-decoded, and `?` and `#` belong to it.
        """
        bucket, _, key = url.partition("://")[2].partition("/")
        if bucket not in self._policy.buckets:
            raise ImageProblem(ImageState.BLOCKED, f"the bucket {bucket[:63]} is not one of those that are allowed")
        if not key or len(key.encode()) > KEY_BYTES or not key.isprintable():
            raise ImageProblem(ImageState.MISSING, f"the s3: URL names no object of the bucket {bucket}")
        if any(part in ("", ".", "..") for part in key.split("/")):
            said = "the key of the s3: URL has an empty part, or one of dots, which may lead out of its bucket"
            raise ImageProblem(ImageState.BLOCKED, said)
        return f"{bucket}/{key}"

    async def read(self, place: str, most: int, within_s: float) -> bytes | None:
        """The bytes of an object, None where it has more than `most`. Raises ImageProblem."""
        try:
            async with asyncio.timeout(within_s):
                return await asyncio.get_running_loop().run_in_executor(self._pool, self._get, place, most)
        except FileNotFoundError as err:
            raise ImageProblem(ImageState.MISSING, "there is no such object, or no such bucket") from err
        except TimeoutError as err:
            raise ImageProblem(ImageState.UNAVAILABLE, "the object store did not send the image in time") from err
        except OSError as err:
            if any(sign in str(err) for sign in REFUSED):
                said = "the object store does not let us have the image: its credentials may not read it"
                raise ImageProblem(ImageState.BLOCKED, said) from err
            raise ImageProblem(ImageState.UNAVAILABLE, f"the object store failed: {_why(err)}") from err

    def _get(self, place: str, most: int) -> bytes | None:
        with self._client.open_input_file(place) as file:
            return None if file.size() > most else bytes(file.read())

    @cached_property
    def _client(self) -> Any:
        from pyarrow import fs

        at = urlsplit(self._policy.endpoint or "")
        return fs.S3FileSystem(
            scheme="http" if at.scheme == "http" else "https",
            endpoint_override=at.netloc + at.path or None,
            connect_timeout=self._connect_timeout_s,
            request_timeout=self._read_timeout_s,
            retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=1),
        )


def _why(err: OSError) -> str:
    """What the client says, without the key, which may be long."""
    return str(err).rpartition("AWS Error ")[2][:200]
