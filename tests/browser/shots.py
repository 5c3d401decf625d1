"""Screenshots for the README, taken from a running demo: python -m tests.browser.shots http://127.0.0.1:PORT/"""

from __future__ import annotations

import sys
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from tests.browser.conftest import executable

DOCS = Path(__file__).parents[2] / "docs"
VIEW = {"width": 1280, "height": 860}
SETTLED = """() => document.querySelector(".state.ok") && !document.querySelector(".busy, .bone")
  && [...document.querySelectorAll(".pane img")].filter((i) => i.getBoundingClientRect().top < innerHeight)
    .every((i) => i.complete)"""


def search(page: Any) -> None:
    """A text query and its hits."""
    page.locator("#text").fill("striped mug")
    page.wait_for_selector("#left .card")


def mix(page: Any) -> None:
    """A text query with a negative product, compared side by side."""
    search(page)
    page.locator("#left .card").nth(1).hover()
    page.locator("#left .card").nth(1).locator(".mix").last.click()
    page.locator("#compare").click()
    page.wait_for_selector("#right .card")


def main(address: str) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = executable(playwright.chromium.executable_path)
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        for name, scene, scheme in (("search", search, "light"), ("mix", mix, "dark")):
            page = browser.new_page(viewport=VIEW, color_scheme=scheme, reduced_motion="reduce", locale="en-GB")
            page.set_default_timeout(120_000)
            page.goto(address)
            scene(page)
            page.mouse.move(4, 4)
            page.wait_for_timeout(2000)
            for _ in range(100):
                if page.evaluate(SETTLED):
                    break
                page.wait_for_timeout(200)
            picture = Image.open(BytesIO(page.screenshot()))
            picture.save(DOCS / f"page-{name}.webp", quality=82, method=6)
            page.close()
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1])
