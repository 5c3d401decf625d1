"""The page by keyboard, with a screen reader, on small screens, in light and dark colours."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.browser.test_search import expect, titles
from tests.search.shop import stocked

Open = Callable[..., Any]


def focused(page: Any) -> str:
    return str(page.evaluate("document.activeElement.id || document.activeElement.textContent.trim()"))


def test_everything_can_be_done_with_the_keyboard(opened: Open) -> None:
    page = opened(stocked().app())
    keys = page.keyboard
    assert focused(page) == "text"
    keys.type("mug")
    keys.press("Enter")
    expect(page.locator("#left .card")).to_have_count(4)
    hit_titles = titles(page)
    keys.press("ArrowDown")
    assert focused(page) == hit_titles[0]
    keys.press("ArrowRight")
    assert focused(page) == hit_titles[1]
    keys.press("End")
    assert focused(page) == hit_titles[3]
    keys.press("Home")
    keys.press("Enter")
    dialog = page.get_by_role("dialog", name=hit_titles[0])
    expect(dialog).to_be_visible()
    keys.press("Escape")
    expect(dialog).to_be_hidden()
    assert focused(page) == hit_titles[0]
    keys.press("Escape")
    assert focused(page) == "text"
    keys.press("Shift+Tab")
    keys.press("/")
    assert focused(page) == "text"
    assert page.locator("#text").input_value() == "mug"


def test_the_tab_key_follows_the_order_of_the_page(opened: Open) -> None:
    page = opened(stocked().app())
    page.locator("#text").fill("mug")
    expect(page.locator("#left .card")).to_have_count(4)
    expect(page.locator("#feed .card")).to_have_count(4)
    page.evaluate("document.querySelector('.skip').focus()")
    order = [focused(page)]
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement === document.body"):
            break
        order.append(focused(page))
    assert order[:2] == ["Skip to the search box", "Skip to the results"]
    first = titles(page)[0]
    places = [order.index(stop) for stop in ("text", "choose", "pause", "follow", first)]
    assert places == sorted(places)
    # One card is a tab stop; the arrow keys reach the others.
    assert len({*order} & set(titles(page)[1:])) <= len(page.locator("#feed .card.held").all())
    page.evaluate("document.querySelector('.skip').focus()")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert focused(page) == "results"


def test_a_screen_reader_gets_landmarks_and_results(opened: Open) -> None:
    page = opened(stocked().app())
    page.locator("#text").fill("brass lamp")
    expect(page.locator("#left .card")).to_have_count(4)
    for role, name in (("banner", ""), ("main", ""), ("search", "Products"), ("complementary", "Filters")):
        expect(page.get_by_role(role, name=name) if name else page.get_by_role(role)).to_have_count(1)
    expect(page.get_by_role("region", name="Just indexed")).to_have_count(1)
    expect(page.get_by_role("list", name="Products found")).to_have_count(1)
    expect(page.get_by_role("status")).to_have_text(re.compile(r"^4 products in"))
    expect(page.get_by_role("searchbox", name="Search products")).to_be_visible()
    expect(page.get_by_role("heading", level=1)).to_have_count(1)
    nameless = """() => [...document.querySelectorAll("button, input:not([hidden]), select, a")]
      .filter((node) => !(node.ariaLabel || node.labels?.length || node.textContent.trim()))
      .map((node) => node.outerHTML)"""
    assert page.evaluate(nameless) == []


CONTRAST = """() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const light = (name) => {
    canvas.fillStyle = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data].map((v) => v / 255)
      .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  return [["--ink", "--ground"], ["--quiet", "--ground"], ["--quiet", "--surface"], ["--quiet", "--soft"],
    ["--accent", "--ground"], ["--accent", "--accent-soft"], ["--on-accent", "--accent"], ["--bad", "--bad-soft"],
    ["--bad", "--ground"], ["--mild", "--mild-soft"]]
    .map(([a, b]) => [a, b, (Math.max(light(a), light(b)) + 0.05) / (Math.min(light(a), light(b)) + 0.05)]);
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_enough_contrast_in_light_and_dark(opened: Open, page: Any, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)
    opened(stocked().app())
    grounds = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (max(map(int, re.findall(r"\d+", grounds))) < 64) == (scheme == "dark")
    assert [pair for pair in page.evaluate(CONTRAST) if pair[2] < 4.5] == []


@pytest.mark.parametrize("width", [320, 375, 768, 1280])
def test_it_fits_every_screen_width(opened: Open, page: Any, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    opened(stocked().app())
    page.locator("#text").fill("mug")
    expect(page.locator("#left .card")).to_have_count(4)
    assert page.evaluate("document.scrollingElement.scrollWidth") <= width
    narrow = page.get_by_role("button", name="Filters")
    if narrow.is_visible():
        expect(page.get_by_label("In stock")).to_be_hidden()
        narrow.click()
    page.get_by_label("In stock").check()
    expect(page.locator("#left .card")).to_have_count(2)
    assert page.evaluate("document.scrollingElement.scrollWidth") <= width
