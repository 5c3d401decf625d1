"""Hostile and unusual photos and URLs with their outcomes: one row each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from PIL import Image

from catalog.domain.image_state import ImageState
from tests.encoders.images import pictures
from tests.encoders.images.pictures import JPEG, PNG, RED, WHITE, animated, drawn, patched, png_of, saved, turned

Sees = Callable[[Image.Image], bool]
BLOCKED, BROKEN, MISSING = ImageState.BLOCKED, ImageState.BROKEN, ImageState.MISSING
TOO_LARGE, UNAVAILABLE = ImageState.TOO_LARGE, ImageState.UNAVAILABLE


@dataclass(frozen=True)
class Row:
    """A URL or the bytes of a picture, and the outcome: a state with part of its reason, or a check of the picture."""

    name: str
    url: str
    outcome: tuple[ImageState, str] | Sees
    body: bytes | None = None
    reached: bool | None = None  # whether a connection was made; None: not checked
    policy: dict[str, Any] = field(default_factory=dict)


def near(image: Image.Image, place: tuple[int, int], colour: tuple[int, int, int], by: int = 40) -> bool:
    return all(abs(a - b) <= by for a, b in zip(image.getpixel(place), colour, strict=True))


def quarter(image: Image.Image) -> bool:
    """Whether it is the picture of pictures.drawn, at any size."""
    w, h = image.size
    others = ((w * 3 // 4, h // 4), (w // 4, h * 3 // 4), (w * 3 // 4, h * 3 // 4))
    return near(image, (w // 4, h // 4), RED, 60) and all(near(image, at, WHITE, 60) for at in others)


def all_of(colour: tuple[int, int, int], size: tuple[int, int] | None = None) -> Sees:
    return lambda image: near(image, (0, 0), colour, 3) and size in (None, image.size)


def one_size(width: int, height: int) -> Sees:
    return lambda image: image.size == (width, height)


def address(host: str, reason: str = "not public") -> Row:
    return Row(f"address {host}", f"http://{host}:{{port}}/photo", (BLOCKED, reason), reached=False)


INWARD = """
    127.0.0.1 127.1 127.255.255.254 2130706433 0x7f000001 0x7f.1 0 0.0.0.0 localhost localhost.
    10.0.0.1 172.16.0.1 172.31.255.255 192.168.1.1 100.64.0.1 100.127.255.255 169.254.169.254 169.254.170.2
    192.0.0.8 192.0.0.170 192.0.2.1 192.88.99.1 198.18.0.1 198.19.255.255 198.51.100.1 203.0.113.1
    224.0.0.1 239.1.1.1 240.0.0.1 255.255.255.255
    [::1] [::] [fe80::1] [fc00::1] [fd00:ec2::254] [fec0::1] [ff02::1] [::ffff:127.0.0.1] [::ffff:a9fe:a9fe]
    [::127.0.0.1] [64:ff9b::7f00:1] [64:ff9b:1::1] [2002:7f00:1::] [2002:808:808::] [2001:0:7f00:1::1]
    [2001:db8::1] [3fff::1] [100::1] 127。0。0。1
    private.example metadata.example mapped.example scoped.example two.example PRIVATE.example.
    good@private.example good.example:x@10.0.0.1
"""
ADDRESSES = [
    *map(
        address,
        INWARD.split(),
    ),
    Row("address that is no host name", "http://exa mple/x", (MISSING, "not a URL")),
    Row("address in octal", "http://0177.0.0.1:{port}/photo", (MISSING, "not a URL"), reached=False),
    Row("address in circles", "http://⑩.0.0.1:{port}/photo", (MISSING, "not a URL"), reached=False),
    Row("address of nothing", "http://", (BLOCKED, "not http(s)")),
    Row("address with a bad bracket", "http://[bad/x", (MISSING, "not a URL")),
    Row("address with a port that is none", "http://shop.example:99999/x", (MISSING, "not a URL")),
    Row("address with a line break", "http://shop.example:{port}/a\r\nx: y", (MISSING, "not a URL")),
    Row("address whose fragment names another", "http://10.0.0.1:{port}#@shop.example/", (BLOCKED, "10.0.0.1")),
    Row("address with a backslash", "http://10.0.0.1\\@shop.example:{port}/photo", quarter),
    Row("name that is unknown", "http://unknown.example/x.jpg", (UNAVAILABLE, "unknown.example has no address")),
    Row("name without addresses", "http://none.example/x.jpg", (UNAVAILABLE, "has no address")),
    Row("name of 300 letters", f"http://{'a' * 300}.example/x", (MISSING, "not a URL")),
    Row("allowed by name", "http://shop.example:{port}/photo", quarter),
    Row("allowed with dot and capitals", "http://SHOP.example.:{port}/photo", quarter),
    Row("allowed by network", "http://127.0.0.1:{port}/photo", quarter, policy={"allow_hosts": ("127.0.0.0/8",)}),
    Row("allowed with a login", "http://me:secret@shop.example:{port}/photo", quarter),
    Row("name bound anew after the check", "http://rebound.example:{port}/photo", quarter),
    Row("name bound anew, asked again", "http://rebound.example:{port}/to/http://rebound.example:{port}/photo",
        (BLOCKED, "10.0.0.9")),
]  # fmt: skip
PORTS = [
    *(
        Row(f"port {port}", f"http://8.8.8.8:{port}/x.jpg", (BLOCKED, f"port {port} of 8.8.8.8"), reached=False)
        for port in (1, 22, 25, 6379, 8080, 65535)
    ),
    Row("port of another's choice", "http://8.8.8.8:80/x.jpg", (BLOCKED, "the ports 8443"),
        policy={"allow_ports": (8443,)}),
    Row("port on the way", "http://shop.example:{port}/to/http://8.8.8.8:22/x", (BLOCKED, "port 22")),
    Row("port does not make private public", "http://127.0.0.1:{port}/photo", (BLOCKED, "not public"), reached=False),
]  # fmt: skip
REDIRECTS = [
    Row("redirects, as many as may be", "hop/3", quarter),
    Row("redirects, one too many", "hop/4", (BLOCKED, "more than 3 times")),
    Row("redirect that goes round", "loop", (BLOCKED, "more than 3 times")),
    Row("redirect, relative", "relative", quarter),
    Row("redirect without scheme", "no-scheme", (BLOCKED, "10.0.0.1")),
    Row("redirect without place", "nowhere", (MISSING, "302")),
    Row("redirect to no URL", "not-a-url", (MISSING, "not a URL")),
    *(
        Row(f"redirect to {url}", f"to/{url}", (BLOCKED, reason))
        for url, reason in {
            "http://10.0.0.1/x": "10.0.0.1",
            "http://127.0.0.1:{port}/photo": "127.0.0.1",
            "http://[::1]:{port}/photo": "::1",
            "http://169.254.169.254/latest/meta-data": "169.254.169.254",
            "http://private.example/x": "10.0.0.5",
            "https://10.0.0.1/x": "10.0.0.1",
            "file:///etc/passwd": "not http(s)",
            "ftp://shop.example/x": "not http(s)",
            "s3://bucket/key": "not http(s)",
            "gopher://shop.example:70/x": "not http(s)",
        }.items()
    ),
    Row("redirect to data:", "to/data:image/png;base64,AAAA", (MISSING, "not a URL")),
    Row("redirect to another name", "to/http://shop.example.:{port}/photo", quarter),
]
SCHEMES = [
    Row(f"scheme of {url!r}", url, (BLOCKED, "an image is given as one of"), reached=False)
    for url in ("ftp://shop.example/a", "javascript:x", "blob:x", "images/a.jpg", "//shop.example/x", "", ":", "x y:z")
]
BODIES = [
    Row("length longer than the body", "longer", (UNAVAILABLE, "shop.example")),
    Row("length shorter than the body", "shorter", (BROKEN, "damaged")),
    Row("length over the cap", "lying-huge", (TOO_LARGE, "1,000,000 bytes")),
    Row("length of 5000 digits", "absurd", (UNAVAILABLE, "")),
    Row("length below nothing", "negative", (UNAVAILABLE, "")),
    Row("two lengths", "two-lengths", (UNAVAILABLE, "")),
    Row("bytes without end", "endless", (TOO_LARGE, "1,000,000 bytes")),
    Row("a byte now and then", "drip", (UNAVAILABLE, "in time")),
    Row("headers now and then", "drip-headers", (UNAVAILABLE, "in time")),
    Row("headers without end", "endless-headers", (UNAVAILABLE, "shop.example")),
    Row("always to be continued", "continues", (UNAVAILABLE, "in time")),
    Row("gzip that was not asked for", "gzip", quarter),
    Row("gzip of 50 MB", "gzip-bomb", (TOO_LARGE, "1,000,000 bytes")),
    Row("gzip in gzip", "gzip-twice", (BROKEN, "compressed as gzip, gzip")),
    Row("gzip that is none", "gzip-garbage", (BROKEN, "damaged")),
    Row("brotli", "brotli", (BROKEN, "compressed as br")),
    Row("a picture that says it is text", "text", quarter),
    Row("an error page that says it is a picture", "error-page", (BROKEN, "not an image")),
    Row("nothing", "empty", (BROKEN, "empty")),
    Row("nothing, as announced", "no-content", (BROKEN, "empty")),
    Row("a part that was not asked for", "partial", (BROKEN, "damaged")),
    Row("chunks", "chunked", quarter),
    Row("chunks of garbage", "chunked-garbage", (UNAVAILABLE, "")),
    Row("chunks that break off", "chunked-cut", (UNAVAILABLE, "")),
    Row("chunks without end", "chunked-endless", (TOO_LARGE, "1,000,000 bytes")),
    Row("another protocol", "no-http", (UNAVAILABLE, "")),
    Row("HTTP/1.0", "old", quarter),
    Row("HTTP/0.9", "oldest", (UNAVAILABLE, "")),
]
STATUSES = [
    Row(f"status {code}", f"status/{code}", (state, f"answered {code}"))
    for state, codes in {
        MISSING: (304, 400, 404, 405, 410, 418),
        BLOCKED: (401, 403, 407, 451),
        UNAVAILABLE: (408, 425, 429, 500, 502, 503, 504, 599),
    }.items()
    for code in codes
]
HOSTS = [
    Row("host that closes at once", "closes", (UNAVAILABLE, "shop.example")),
    Row("host that hangs", "hang-headers", (UNAVAILABLE, "in time")),
    Row("host that hangs halfway", "hang-body", (UNAVAILABLE, "in time")),
    Row("host that resets", "reset", (UNAVAILABLE, "")),
    Row("host that resets halfway", "reset-body", (UNAVAILABLE, "")),
    Row("host that takes no connection", "http://shop.example:{deaf}/photo", (UNAVAILABLE, "in time")),
    Row("host that nobody is at", "http://shop.example:1/photo", (UNAVAILABLE, "shop.example")),
    Row("TLS to a port without", "https://shop.example:{port}/photo", (UNAVAILABLE, "")),
]
BOMBS = [
    Row("PNG of 50,000 x 50,000", "", (TOO_LARGE, "pixels"), png_of(50_000, 50_000)),
    Row("PNG of 8,000 x 8,000", "", (TOO_LARGE, "8000 x 8000"), png_of(8000, 8000)),
    Row("PNG of 2^31 - 1 squared", "", (TOO_LARGE, "pixels"), png_of(2**31 - 1, 2**31 - 1)),
    Row("PNG of no pixels", "", (BROKEN, ""), png_of(0, 0)),
    Row("PNG with too little data", "", (BROKEN, "damaged"), png_of(900, 900)),
    Row("PNG with a profile of 100 MB", "", (BROKEN, ""),
        png_of(8, 8, pictures.chunk(b"iCCP", b"x\0\0" + pictures.packed_bomb(100)))),
    Row("PNG with a text of 100 MB", "", (BROKEN, ""),
        png_of(8, 8, pictures.chunk(b"zTXt", b"x\0\0" + pictures.packed_bomb(100)))),
    Row("PNG with a wrong checksum", "", (BROKEN, ""), patched(PNG, b"IHDR", 13, b"\0\0\0\0")),
    Row("GIF of 3,000 frames", "", all_of(RED), animated("GIF", 3000)),
    Row("GIF of 65,535 x 65,535", "", (TOO_LARGE, "pixels"), pictures.gif_of(b"\xff" * 4)),
    Row("WebP of 16,383 x 16,383", "", (TOO_LARGE, "pixels"),
        patched(saved(drawn(), "WEBP"), b"\x9d\x01\x2a", 0, b"\xff\x3f\xff\x3f")),
    Row("AVIF of 60,000 x 60,000", "", (BROKEN, "not an image"),
        patched(saved(drawn(), "AVIF"), b"ispe", 4, (60_000).to_bytes(4, "big") * 2)),
    Row("JPEG of 65,500 x 65,500", "", (TOO_LARGE, "pixels"), patched(JPEG, b"\xff\xc0", 3, b"\xff\xdc\xff\xdc")),
    Row("JPEG of 5,000 scans", "", (BROKEN, "5,010 scans"), pictures.many_scans(5000)),
    Row("BMP of 60,000 x 60,000", "", (TOO_LARGE, "pixels"),
        patched(saved(drawn(), "BMP"), b"BM", 16, (60_000).to_bytes(4, "little") * 2)),
    Row("TIFF of 60,000 x 60,000", "", (TOO_LARGE, "pixels"), pictures.tiff_of(60_000, 60_000)),
    Row("TIFF whose pages go round", "", one_size(60, 40), pictures.tiff_of_itself(), policy={"max_pixels": 5000}),
]  # fmt: skip
HOLDS = {
    "JPEG": "RGB L CMYK 1",
    "PNG": "RGB L P 1 RGBA LA",
    "WEBP": "RGB L P CMYK 1 RGBA LA",
    "GIF": "RGB L P 1 RGBA LA",
    "BMP": "RGB L P 1",
    "TIFF": "RGB L P CMYK 1 RGBA LA LAB YCbCr",
    "AVIF": "RGB L RGBA",
}
NO_PICTURES = [
    Row(name, "", (BROKEN, reason), body)
    for name, reason, body in [
        ("SVG", "known format", b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'),
        ("PDF", "known format", b"%PDF-1.7\n1 0 obj"),
        ("PDF around a JPEG", "known format", b"%PDF-1.7\n" + JPEG),
        ("PostScript", "known format", b"%!PS-Adobe-3.0 EPSF-3.0\n(/etc/passwd) run"),
        ("ZIP", "known format", b"PK\x03\x04" + PNG),
        ("icon", "known format", saved(drawn(size=(32, 32)), "ICO")),
        ("HEIC", "known format", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"),
        ("script that begins like a GIF", "", b"GIF89a/*" + b"x" * 50 + b"*/=alert(1)"),
        ("start of a JPEG", "known format", b"\xff\xd8\xff\xe0"),
        ("start of a PNG", "known format", b"\x89PNG\r\n\x1a\n"),
        *((f"half a {kind}", "image", pictures.half(kind)) for kind in HOLDS if kind != "BMP"),
    ]
]  # fmt: skip
CORNERS = {1: (0, 0), 2: (1, 0), 3: (1, 1), 4: (0, 1), 5: (0, 0), 6: (1, 0), 7: (1, 1), 8: (0, 1)}


def turned_to(orientation: int) -> Sees:
    """The corner of the red quarter, which is stored in the upper left."""
    x, y = CORNERS[orientation]
    w, h = (60, 40) if orientation < 5 else (40, 60)
    middle = (w // 4 + x * w // 2, h // 4 + y * h // 2)
    return lambda image: image.size == (w, h) and near(image, middle, RED)


def clear(mode: str, **options: object) -> bytes:
    ground = {"RGBA": (10, 20, 30, 0), "LA": (10, 0), "P": 0}[mode]
    return saved(Image.new(mode, (8, 8), ground), "PNG", **options)


GREY = Image.new("L", (4, 4))
PICTURES = [
    *(
        Row(f"{kind} of mode {mode}", "", one_size(60, 40) if mode in "L LA 1" else quarter, saved(drawn(mode), kind))
        for kind, modes in HOLDS.items()
        for mode in modes.split()
    ),
    *(Row(f"turned by EXIF {n}", "", turned_to(n), turned(n)) for n in CORNERS),
    *(Row(f"EXIF that says {n}", "", quarter, turned(n)) for n in (0, 9, 65535)),
    Row("EXIF that lies about the size", "", quarter, turned(1, ta002=9999, ta003=1)),
    Row("EXIF of garbage", "", quarter, saved(drawn(), "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff" + b"\xff" * 40)),
    Row("CMYK without Adobe's mark", "", one_size(60, 40), pictures.without(saved(drawn("CMYK"), "JPEG"), 0xEE)),
    Row("JPEG, progressive", "", quarter, saved(drawn(), "JPEG", progressive=True)),
    Row("JPEG with a picture behind it", "", quarter, saved(drawn(), "JPEG") + JPEG),
    Row("PNG with a ZIP behind it", "", quarter, PNG + b"PK\x03\x04rest"),
    Row("RGBA that sees through", "", all_of(WHITE), clear("RGBA")),
    Row("LA that sees through", "", all_of(WHITE), clear("LA")),
    Row("palette that sees through", "", all_of(WHITE), clear("P", transparency=0)),
    Row("16 bits of grey", "", all_of((128, 128, 128)), saved(Image.new("I;16", (4, 4), 32768), "PNG")),
    Row("16 bits of colour", "", all_of((0, 0, 0)), png_of(2, 2, depth=16, colour=2)),
    Row("floats", "", all_of((128, 128, 128)), saved(Image.new("F", (4, 4), 0.5), "TIFF")),
    Row("floats that are not numbers", "", all_of((0, 0, 0)), saved(Image.new("F", (4, 4), float("nan")), "TIFF")),
    Row("animated WebP", "", all_of(RED), animated("WEBP", 3)),
    Row("animated PNG", "", all_of(RED), animated("PNG", 3)),
    Row("animated AVIF", "", lambda image: near(image, (0, 0), RED), animated("AVIF", 3)),
    Row("1 x 1", "", one_size(1, 1), saved(drawn(size=(1, 1)), "PNG")),
    Row("1 x 5,000", "", one_size(1, 5000), saved(drawn(size=(1, 5000)), "JPEG")),
    Row("5,000 x 1", "", one_size(5000, 1), saved(drawn(size=(5000, 1)), "WEBP")),
    Row("the most pixels there may be", "", one_size(60, 40), PNG, policy={"max_pixels": 2400}),
]
TABLE = [*ADDRESSES, *PORTS, *REDIRECTS, *SCHEMES, *BODIES, *STATUSES, *HOSTS, *BOMBS, *NO_PICTURES, *PICTURES]
