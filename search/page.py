"""The pages: one HTML file each, whose own script and style are all that a browser may run and load."""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256
from importlib.resources import files

from fastapi import Response

_INLINE = r"<{0}>(.*?)</{0}>"


class Page:
    """A page of this package, and the policy that allows the script and style it was shipped with by their hashes."""

    def __init__(self, name: str) -> None:
        html = files("search").joinpath(name).read_text("utf-8")
        self._body = html.encode()
        self._headers = {
            "content-security-policy": "; ".join(
                (
                    "default-src 'none'",
                    f"script-src {_hash(html, 'script')}",
                    f"style-src {_hash(html, 'style')}",
                    "img-src 'self' http: https: data: blob:",  # products' photos are wherever the shop keeps them
                    "connect-src 'self'",
                    "base-uri 'none'",
                    "form-action 'none'",
                    "frame-ancestors 'none'",
                    "require-trusted-types-for 'script'",
                )
            ),
            "cache-control": "no-cache",
        }

    async def serve(self) -> Response:
        return Response(self._body, headers=self._headers, media_type="text/html; charset=utf-8")


def _hash(html: str, tag: str) -> str:
    inline = re.findall(_INLINE.format(tag), html, re.DOTALL)
    return " ".join(f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'" for text in inline) or "'none'"
