"""The page is self-contained, marks relevant hits, and escapes everything that comes from a shop."""

from __future__ import annotations

from html.parser import HTMLParser

import numpy as np

from evaluation.comparison import Depths, compare, evaluate
from evaluation.intervals import ChancePolicy
from evaluation.page import ShownQueries, choose, page, pictured
from tests.evaluation.judged import judgements

NASTY = "</script><script>alert('x')</script><img src=x onerror=alert(1)> \"quoted\" & $title ${x}"
DEPTHS = Depths((2, 4), ChancePolicy(draws=50))
VOID = {"meta", "img"}


class Tree(HTMLParser):
    """Checks that tags are balanced, and collects every attribute."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.seen: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def rendered(models: int = 2) -> tuple[Tree, str]:
    judged = judgements(
        [{0: 1.0}, {1: 1.0}, {2: 1.0}], texts=[NASTY, "mug", "hat"], groups={NASTY: [True, False, False]}
    )
    judged.skipped.add(NASTY, "line 1")
    first = np.array([[4, 3, 2, 1], [4, 3, 2, 1], [1, 2, 4, 3]], np.float32)
    second = np.array([[1, 2, 3, 4], [4, 3, 2, 1], [1, 2, 3, 4]], np.float32)
    evaluated = [
        evaluate(name, lambda texts, s=scores: s[: len(texts)], judged, depths=DEPTHS)
        for name, scores in ((f"one {NASTY}", first), ("two", second))[:models]
    ]
    comparison = compare(evaluated, judged, items=4, depths=DEPTHS)
    shown = choose(comparison, 5)
    html = page(
        comparison,
        shown,
        pictured(["a", NASTY, "c", "d"], [NASTY, "Mug", "Hat", "Cap"], {0: "data:image/png;base64,AA"}),
    )
    tree = Tree()
    tree.feed(html)
    tree.close()
    return tree, html


def test_a_shops_texts_are_never_markup() -> None:
    tree, html = rendered()
    assert not tree.open
    assert "script" not in tree.seen
    assert not [name for name, _ in tree.attributes if name.startswith("on")]
    assert any(NASTY in text for text in tree.text)
    assert "$title" in "".join(tree.text), "a placeholder in a text is left as it is"
    assert "$body" not in html


def test_the_page_loads_nothing() -> None:
    tree, html = rendered()
    assert {value for name, value in tree.attributes if name in ("src", "href")} == {"data:image/png;base64,AA"}
    assert "http://" not in html
    assert "https://" not in html
    assert "url(" not in html
    assert "prefers-color-scheme: dark" in html


def test_two_models_are_side_by_side_with_relevant_hits_marked() -> None:
    tree, html = rendered()
    assert tree.seen.count("article") == 2, "the queries on which the two differ"
    assert html.count("✓ relevant") == 4
    assert html.index("loses most") < html.index("gains most")


def test_one_model_is_shown_from_its_worst_to_its_best() -> None:
    tree, html = rendered(models=1)
    assert not tree.open
    assert html.index("Where it does worst") < html.index("Where it does best")


def test_the_queries_shown_are_those_at_either_end() -> None:
    rng = np.random.default_rng(0)
    judged = judgements([{int(rng.integers(9)): 1.0} for _ in range(60)])
    scores = [rng.random((60, 9), np.float32) for _ in range(2)]
    rows = {text: row for row, text in enumerate(judged.queries)}
    models = [
        evaluate(str(n), lambda texts, s=s: s[[rows[text] for text in texts]], judged, depths=DEPTHS)
        for n, s in enumerate(scores)
    ]
    comparison = compare(models, judged, items=9, depths=DEPTHS)
    value = models[0].values["nDCG@2"] - models[1].values["nDCG@2"]
    shown = choose(comparison, 4)
    assert value[list(shown.worst)].tolist() == sorted(value)[:4]
    assert value[list(shown.best)].tolist() == sorted(value)[:-5:-1]
    assert len({*shown.worst, *shown.best}) == 8
    everything = choose(comparison, 60)
    assert sorted([*everything.worst, *everything.best]) == np.flatnonzero(value).tolist()
    assert list(value[list(everything.worst)]) == sorted(value[value < 0])
    assert set(ShownQueries((0,), ()).items(comparison)) <= set(range(9))
