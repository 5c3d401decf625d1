"""Images that need no network: files below an allowed folder, and data: URLs."""

from __future__ import annotations

import base64
import binascii
from pathlib import Path
from urllib.parse import unquote, unquote_to_bytes, urlsplit

from catalog.domain.image_state import ImageState
from catalog.errors import ImageProblem
from encoders.images.policy import ImagePolicy


def read_file(url: str, policy: ImagePolicy) -> bytes:
    """The bytes of a file: URL, which must be below one of `policy.file_roots` after symlinks. Raises ImageProblem."""
    parts = urlsplit(url)
    if parts.netloc not in ("", "localhost"):
        raise ImageProblem(ImageState.BLOCKED, f"a file: URL must name this machine, not {parts.netloc}")
    try:
        path = Path(unquote(parts.path)).resolve()
        roots = [root.resolve() for root in policy.file_roots]
    except (OSError, RuntimeError, ValueError) as err:
        raise ImageProblem(ImageState.MISSING, f"the path of the file: URL cannot be followed: {err}") from err
    # Checked before the file is looked up: the answer must not tell which files exist outside the roots.
    if not any(path.is_relative_to(root) for root in roots):
        reason = "is outside the allowed folders" if roots else "cannot be read: no folder is allowed"
        raise ImageProblem(ImageState.BLOCKED, f"the file {path.name} {reason}")
    if not path.is_file():
        raise ImageProblem(ImageState.MISSING, f"the file {path.name} does not exist")
    try:
        with path.open("rb") as file:
            data = file.read(policy.max_bytes + 1)
    except OSError as err:
        raise ImageProblem(ImageState.UNAVAILABLE, f"the file {path.name} cannot be read: {err.strerror}") from err
    return capped(data, policy)


def read_data(url: str, policy: ImagePolicy) -> bytes:
    """The bytes of a data: URL, base64 or percent-encoded. Raises ImageProblem."""
    head, comma, body = url.partition(",")
    if not comma:
        raise ImageProblem(ImageState.BROKEN, "the data: URL has no comma before its data")
    # Percent-encoding takes at most three characters for a byte: anything longer exceeds the limit.
    if len(body) > 3 * (policy.max_bytes + 3) * 4 // 3:
        raise too_large(policy)
    raw = unquote_to_bytes(body)
    if head.lower().endswith(";base64"):
        text = b"".join(raw.split()).rstrip(b"=").replace(b"-", b"+").replace(b"_", b"/")
        try:
            raw = base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
        except binascii.Error as err:
            raise ImageProblem(ImageState.BROKEN, f"the data: URL is not base64: {err}") from err
    return capped(raw, policy)


def capped(data: bytes, policy: ImagePolicy) -> bytes:
    """The same bytes. Raises ImageProblem if they are empty or exceed `max_bytes`."""
    if len(data) > policy.max_bytes:
        raise too_large(policy)
    if not data:
        raise ImageProblem(ImageState.BROKEN, "the image is empty: it has no bytes")
    return data


def too_large(policy: ImagePolicy) -> ImageProblem:
    return ImageProblem(ImageState.TOO_LARGE, f"the image has more than the {policy.max_bytes:,} bytes allowed")
