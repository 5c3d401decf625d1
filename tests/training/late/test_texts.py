from __future__ import annotations

import numpy as np

from tests.training.test_data import example
from training.late.recipe import Recipe
from training.late.texts import pool, terms


def test_terms_do_not_care_for_case_hyphens_or_a_plural() -> None:
    assert terms("Men's T-Shirts") == terms("mens tshirt")
    assert terms("dress") != terms("dres")
    assert terms("") == frozenset()


def test_every_product_answers_its_own_texts_and_no_others_that_ask_for_more() -> None:
    shop = [
        example(0, "Acme round neck shirt", baseColour="Red", articleType="Shirts"),
        example(1, "Acme collar shirt", baseColour="Navy Blue", articleType="Shirts"),
        example(2, "Borg mug"),
    ]
    found = pool(shop, Recipe())
    for row in range(len(shop)):
        for text in (found.title[row], *found.fragments[row], *found.phrases[row]):
            assert not (found.asks[text] & ~found.answers[row]).any(), found.texts[text]
    said = {found.texts[text] for text in found.phrases[1]}
    assert said <= {"navy blue", "shirt", "shirts", "navy blue shirt", "navy blue shirts"}
    assert not found.phrases[2], "a product without facets is asked for by its title alone"
    blue = terms("blue shirt")
    assert [bool(all(row[term] for term in blue)) for row in found.answers] == [False, True, False]


def test_the_same_seed_draws_the_same_texts() -> None:
    shop = [example(i, f"Acme thing number {i} of many words") for i in range(20)]
    assert pool(shop, Recipe()).texts == pool(shop, Recipe()).texts
    assert pool(shop, Recipe(seed=1)).texts != pool(shop, Recipe()).texts


def test_one_word_and_no_word_have_no_pieces() -> None:
    found = pool([example(0, "Mug"), example(1, "")], Recipe())
    assert found.fragments == ((), ())
    assert np.array_equal(found.asks.sum(1), [1, 0])
