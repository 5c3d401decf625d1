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
    """The bytes of a file: URL below one of `policy.file_roots`, symlinks followed first. Raises ImageProblem."""
    parts = urlsplit(url)
    if parts.netloc not in ("", "localhost"):
        raise ImageProblem(ImageState.BLOCKED, f"a file: URL names this machine only, not {parts.netloc}")
    try:
        path = Path(unquote(parts.path)).resolve()
        roots = [root.resolve() for root in policy.file_roots]
    except (OSError, RuntimeError, ValueError) as err:
        raise ImageProblem(ImageState.MISSING, f"the path of the file: URL cannot be followed: {err}") from err
    # Before looking whether it exists: what is outside is not to be found out by asking.
    if not any(path.is_relative_to(root) for root in roots):
        said = "is outside the folders that are allowed" if roots else "needs its folder to be allowed: none is"
        raise ImageProblem(ImageState.BLOCKED, f"the file {path.name} {said}")
    if not path.is_file():
        raise ImageProblem(ImageState.MISSING, f"there is no file {path.name}")
    try:
        with path.open("rb") as file:
            data = file.read(policy.max_bytes + 1)
    except OSError as err:
        raise ImageProblem(ImageState.UNAVAILABLE, f"the file {path.name} cannot be read: {err.strerror}") from err
    return capped(data, policy)


def read_data(url: str, policy: ImagePolicy) -> bytes:
    """The bytes a data: URL carries, base64 or percent-encoded. Raises ImageProblem."""
    head, comma, body = url.partition(",")
    if not comma:
        raise ImageProblem(ImageState.BROKEN, "the data: URL has no comma before its data")
    # Percent-encoding takes at most three characters a byte; anything longer is over the cap whatever it says.
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
    """The same bytes. Raises ImageProblem when there are none or more than the cap."""
    if len(data) > policy.max_bytes:
        raise too_large(policy)
    if not data:
        raise ImageProblem(ImageState.BROKEN, "the image is empty: it has no bytes")
    return data


def too_large(policy: ImagePolicy) -> ImageProblem:
    return ImageProblem(ImageState.TOO_LARGE, f"the image has more than the {policy.max_bytes:,} bytes allowed")
