"""Searches on the page: words, photos, filters, and failures."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from catalog.domain.filters import AnyOf, Range
from catalog.domain.product import ProductKey
from catalog.errors import Unavailable
from search import KeyFile, SearchPolicy
from tests.browser.conftest import PATIENCE_MS
from tests.integration.shop import wait_for
from tests.search.keys import grant
from tests.search.shop import Shop, bag, photo, product, stocked

Open = Callable[..., Any]


def expect(locator: Any) -> Any:
    from playwright.sync_api import expect as expecting

    expecting.set_options(timeout=PATIENCE_MS)
    return expecting(locator)


def titles(page: Any) -> list[str]:
    return page.locator("#left .card .title").all_text_contents()


def test_words_are_searched_as_they_are_typed(opened: Open) -> None:
    shop = stocked()
    page = opened(shop.app())
    expect(page.locator("#state")).to_have_text("4 products")
    page.locator("#text").press_sequentially("sea green mug", delay=20)
    expect(page.locator("#left .status")).to_have_text(re.compile(r"^4 products in \d+ ms$"))
    assert titles(page)[0] == "sea green mug"
    assert len(shop.encoder.calls) < len("sea green mug")
    assert page.url.endswith("?q=sea+green+mug")
    first = page.locator("#left .card").first
    expect(first.locator(".offer")).to_contain_text("€12.50")
    expect(first.locator(".score")).to_have_text("1.000")
    expect(first.locator("time")).to_have_text(re.compile(r"^\d+ (s|min|h|d) ago$"))
    page.locator("#text").fill("")
    expect(page.locator("#found")).to_be_hidden()


def test_a_late_response_is_dropped(opened: Open) -> None:
    shop = stocked()
    page = opened(shop.app())
    shop.encoder.delay = 1.0
    page.locator("#text").fill("sea green mug")
    wait_for(lambda: bool(shop.encoder.calls), PATIENCE_MS / 1000)
    shop.encoder.delay = 0.0
    page.locator("#text").fill("brass lamp")
    expect(page.locator("#left .title").first).to_have_text("brass lamp")
    page.wait_for_timeout(900)
    assert titles(page)[0] == "brass lamp"
    assert [text for text, _ in shop.encoder.calls] == ["sea green mug", "brass lamp"]


GIVE = """([data, how]) => {
  const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0)), transfer = new DataTransfer();
  transfer.items.add(new File([bytes], "wanted.png", { type: "image/png" }));
  const init = { bubbles: true, cancelable: true };
  document.body.dispatchEvent(how === "paste"
    ? new ClipboardEvent("paste", { ...init, clipboardData: transfer })
    : new DragEvent(how, { ...init, dataTransfer: transfer }));
}"""


@pytest.mark.parametrize("how", ["drop", "paste", "choose"])
def test_a_photo_is_dropped_pasted_or_chosen(opened: Open, how: str) -> None:
    shop, data = stocked(), photo("crimson")
    page = opened(shop.app())
    if how == "choose":
        page.locator("#file").set_input_files({"name": "wanted.png", "mimeType": "image/png", "buffer": data})
    else:
        if how == "drop":
            page.evaluate(GIVE, [base64.b64encode(data).decode(), "dragover"])
            expect(page.locator("#drop")).to_be_visible()
        page.evaluate(GIVE, [base64.b64encode(data).decode(), how])
    expect(page.locator("#left .card")).to_have_count(4)
    expect(page.locator("#drop")).to_be_hidden()
    assert shop.encoder.calls == [(None, data)]
    page.locator("#text").fill("mug")
    expect(page.locator("#parts .part")).to_have_count(2)
    wait_for(lambda: shop.encoder.calls[-1] == ("mug", data), PATIENCE_MS / 1000)
    page.get_by_role("button", name="Take wanted.png out").click()
    expect(page.locator("#parts")).to_be_hidden()
    wait_for(lambda: shop.encoder.calls[-1] == ("mug", None), PATIENCE_MS / 1000)


def test_filters_narrow_the_results_and_can_be_removed(opened: Open) -> None:
    shop = stocked()
    page = opened(shop.app())
    page.locator("#text").fill("mug")
    expect(page.locator("#left .card")).to_have_count(4)
    page.get_by_label("In stock").check()
    expect(page.locator("#left .card")).to_have_count(2)
    page.get_by_label("Highest price").fill("20")
    expect(page.locator("#left .card")).to_have_count(1)
    assert set(shop.shelf.conditions) == {AnyOf("available", (True,)), Range("price", lte=20.0)}
    page.get_by_role("button", name="Without the filter to 20").click()
    expect(page.locator("#left .card")).to_have_count(2)
    page.get_by_label("Lowest price").fill("900")
    expect(page.locator("#left")).to_contain_text("Nothing matches these filters")
    page.get_by_role("button", name="Clear the filters").click()
    expect(page.locator("#left .card")).to_have_count(4)
    expect(page.locator("#active")).to_be_hidden()


def test_facet_values_are_counted_and_several_can_be_chosen(opened: Open) -> None:
    shop = stocked()
    page = opened(shop.app())
    page.locator("#text").fill("mug")
    brand = page.get_by_role("group", name="Brand")
    expect(brand.locator(".choice")).to_have_text(["Arbour3", "Lumen1"])
    brand.get_by_label("Lumen").check()
    expect(page.locator("#left .card .title")).to_have_text(["brass lamp"])
    expect(brand.locator(".choice")).to_have_text(["Arbour3", "Lumen1"])
    brand.get_by_label("Arbour").check()
    expect(page.locator("#left .card")).to_have_count(4)
    assert shop.shelf.conditions == (AnyOf("attributes.brand", ("Lumen", "Arbour")),)
    page.get_by_label("In stock").check()
    expect(brand.locator(".choice")).to_have_text(["Arbour1", "Lumen1"])
    page.get_by_role("button", name="Clear all").click()
    expect(page.locator("#left .card")).to_have_count(4)
    expect(brand.get_by_role("checkbox", checked=True)).to_have_count(0)


def test_like_this_finds_similar_products(opened: Open) -> None:
    shop = stocked()
    page = opened(shop.app())
    page.locator("#text").fill("blue mug")
    expect(page.locator("#left .title").first).to_have_text("blue mug")
    page.locator("#left .card").first.hover()
    page.get_by_role("button", name="Find products like blue mug").click()
    expect(page.locator("#parts .what")).to_have_text("blue mug")
    expect(page.locator("#left .card")).to_have_count(3)
    assert "blue mug" not in titles(page)
    assert page.locator("#text").input_value() == ""
    assert len(shop.encoder.calls) == 1
    page.keyboard.press("Escape")
    expect(page.locator("#parts")).to_be_hidden()
    expect(page.locator("#found")).to_be_hidden()


def test_a_mix_has_positive_and_negative_weights(opened: Open) -> None:
    shop = stocked()
    page = opened(shop.app())
    page.locator("#text").fill("mug")
    expect(page.locator("#left .card")).to_have_count(4)
    page.get_by_role("button", name="Add these words to the mix").click()
    page.locator("#text").fill("lamp")
    card = page.locator("#left .card", has_text="sea green mug")
    card.hover()
    card.get_by_role("button", name="Less like sea green mug").click()
    expect(page.locator("#parts .part")).to_have_count(3)
    expect(page.locator("#parts output")).to_have_text(["+1.0", "+1.0", "−0.5"])
    expect(page.locator("#left .card")).to_have_count(3)
    slider = page.get_by_role("slider", name="How much sea green mug counts")
    slider.press("Home")
    expect(page.locator("#parts output").last).to_have_text("−1.0")
    expected = bag("lamp") + bag("mug") - bag("sea green mug")
    expected = expected / np.linalg.norm(expected)
    wait_for(lambda: np.allclose(shop.shelf.queries[-1].vector, expected, atol=1e-5), PATIENCE_MS / 1000)


def test_two_searches_are_shown_side_by_side(opened: Open) -> None:
    page = opened(stocked().app())
    page.locator("#text").fill("brass lamp")
    expect(page.locator("#left .card")).to_have_count(4)
    page.get_by_role("button", name="Compare side by side").click()
    page.locator("#left select").select_option("dense")
    page.locator("#right select").select_option("lexical")
    expect(page.locator("#right .title")).to_have_text(["brass lamp"])
    expect(page.locator("#left .rank")).to_have_text(["1 · same", "2 · only here", "3 · only here", "4 · only here"])
    expect(page.locator("#right .status")).to_have_text(re.compile("^1 product in"))
    page.reload()
    expect(page.locator("#right .title")).to_have_text(["brass lamp"])
    page.get_by_role("button", name="Compare side by side").click()
    expect(page.locator("#right")).to_be_hidden()
    expect(page.locator("#left .rank").first).to_be_hidden()


def test_an_empty_index_shows_advice_and_fills_by_itself(opened: Open) -> None:
    shop = Shop()
    page = opened(shop.app())
    expect(page.get_by_role("heading", name="The shelf is empty")).to_be_visible()
    page.locator("#text").fill("mug")
    expect(page.locator("#left")).to_contain_text("Nothing found")
    page.locator("#text").fill("")
    shop.shelf.products[ProductKey("default", "mug")] = product("first mug", images=[])
    expect(page.locator("#feed .title")).to_have_text("first mug")
    expect(page.get_by_role("heading", name="The shelf is empty")).to_be_hidden()
    expect(page.locator("#state")).to_have_text("1 product")


def test_a_failed_service_is_shown_and_recovers_by_itself(opened: Open) -> None:
    shop = stocked()
    page = opened(shop.app())
    shop.shelf.failure = Unavailable("the index does not answer: is one running?")
    page.locator("#text").fill("mug")
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("The index does not answer: is one running? Trying again in 2 s.")
    expect(page.locator("#left .card")).to_have_count(0)
    shop.shelf.failure = None
    expect(page.locator("#left .card")).to_have_count(4)
    expect(alert).to_be_hidden()


def test_a_refused_query_shows_the_service_s_sentence(opened: Open) -> None:
    page = opened(stocked().app())
    page.locator("#file").set_input_files({"name": "x.png", "mimeType": "image/png", "buffer": b"no image at all"})
    expect(page.get_by_role("alert")).to_contain_text("These bytes are not an image that can be decoded.")
    expect(page.get_by_role("button", name="Try again")).to_have_count(0)
    page.get_by_role("button", name="Take x.png out").click()
    page.locator("#text").fill("mug")
    expect(page.locator("#left .card")).to_have_count(4)


def test_a_slow_response_shows_progress_and_can_be_cancelled(opened: Open) -> None:
    shop = stocked()
    shop.policy = SearchPolicy(answer_timeout_s=30)
    shop.encoder.delay = 20
    page = opened(shop.app())
    page.locator("#text").fill("mug")
    expect(page.locator("#left .bone").first).to_be_visible()
    expect(page.locator("#left")).to_have_attribute("aria-busy", "true")
    expect(page.locator("#left .status")).to_contain_text("Still searching…")
    page.get_by_role("button", name="Stop").click()
    expect(page.locator("#left .bone")).to_have_count(0)
    expect(page.locator("#left .status")).to_have_text("Stopped.")
    shop.encoder.delay = 0
    page.locator("#text").fill("mug!")
    expect(page.locator("#left .card")).to_have_count(4)


def test_a_changed_product_changes_its_card(opened: Open) -> None:
    shop = stocked()
    page = opened(shop.app())
    page.locator("#text").fill("sea green mug")
    card = page.locator("#left .card").first
    expect(card.locator(".offer")).to_contain_text("€12.50")
    mug = shop.shelf.products[ProductKey("default", "mug")]
    shop.shelf.products[ProductKey("default", "mug")] = {**mug, "price": 9.0, "event_time": mug["event_time"] + 1}
    expect(card.locator(".offer")).to_contain_text("€9.00")
    assert len(shop.encoder.calls) == 1


def test_a_key_is_requested_if_the_service_needs_one(opened: Open, tmp_path: Path) -> None:
    key = grant(tmp_path / "keys.json")
    shop = stocked()
    shop.keys = KeyFile(tmp_path / "keys.json")
    page = opened(shop.app())
    dialog = page.get_by_role("dialog", name="This shelf asks for a key")
    expect(dialog).to_contain_text("A key is needed")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(page.locator("#state")).to_have_text("connected")
    page.locator("#text").fill("lamp")
    expect(dialog).to_be_visible()
    dialog.get_by_label("API key").fill("wrong")
    dialog.get_by_role("button", name="Use this key").click()
    second_dialog = page.get_by_role("dialog", name="That key does not open this shelf")
    second_dialog.get_by_label("API key").fill(key)
    second_dialog.get_by_label("API key").press("Enter")
    expect(page.locator("#left .card")).to_have_count(4)
    expect(page.locator("#feed .card")).to_have_count(4)
    # The page sends the key for the service's own photos too.
    lamp = page.locator("#left .card", has_text="brass lamp")
    expect(lamp.locator(".photo.there")).to_have_count(1)
    assert page.evaluate("sessionStorage.length") == 1
    assert page.evaluate("localStorage.length + document.cookie.length") == 0
    page.reload()
    expect(page.locator("#left .card")).to_have_count(4)
