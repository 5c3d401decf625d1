"""The pages, as plain files without a build step. They load nothing from other hosts."""

from __future__ import annotations

from hashlib import sha256
from importlib.resources import files

from fastapi import APIRouter, Request, Response

KINDS = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
PAGES = {"/": "index.html", "/docs": "docs.html"}
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' http: https: data: blob:",  # products' photos are on the shop's hosts
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    )
)


class File:
    """One file of this package, read once. Browsers cache it and revalidate it with each request."""

    def __init__(self, name: str) -> None:
        self._body = files(__name__).joinpath(name).read_bytes()
        kind = name.rpartition(".")[2]
        self._headers = {"etag": f'"{sha256(self._body).hexdigest()[:32]}"', "cache-control": "no-cache"}
        if kind in ("html", "svg"):
            self._headers["content-security-policy"] = POLICY
        self._type = KINDS[kind]

    async def serve(self, request: Request) -> Response:
        if request.headers.get("if-none-match") == self._headers["etag"]:
            return Response(status_code=304, headers=self._headers)
        return Response(self._body, headers=self._headers, media_type=self._type)


def page_routes() -> APIRouter:
    """The pages, and their files below /static/."""
    routes = APIRouter()
    names = sorted(f.name for f in files(__name__).iterdir() if f.name.rpartition(".")[2] in KINDS)
    for path, name in [*PAGES.items(), *((f"/static/{name}", name) for name in names if not name.endswith(".html"))]:
        routes.add_api_route(path, File(name).serve, methods=["GET", "HEAD"], include_in_schema=False)
    return routes
