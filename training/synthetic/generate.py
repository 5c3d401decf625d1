"""A synthetic query log, generated from a catalogue's attributes for shops without a log.

No shopper typed these queries. Everything derived from them is labelled synthetic.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from itertools import chain, combinations, product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from catalog.errors import InvalidInput
from evaluation.bm25 import singular, words
from training.data.products import Example, stream
from training.data.splits import Parts, SplitPolicy, chance_of, parts_of
from training.synthetic.wording import SYNONYMS, cut_short, misspelt, usable

QueryFacets = tuple[tuple[str, str], ...]
"""What a query searches for: facets and their values in lower case, ordered by the facets' names."""

# Facets that name the product, the most specific first; and facets that a photo shows.
KINDS = ("kind", "articleType", "product_type", "type", "category", "subCategory")
VISIBLE = ("colour", "color", "baseColour", "pattern", "shape")

_TRIES = 40
_MIN_MENTIONED = 0.15
"""The share of titles that must mention a facet for it to be searched for at the normal rate."""


@dataclass(frozen=True, slots=True)
class SyntheticPolicy:
    """How the synthetic shoppers search. Shares are of queries; `each` is the number of interactions per product.

    `extras` are the shares of queries with no, one, two and three attributes besides the kind. Products are drawn by
    Zipf's law: rank r in proportion to r to the power of minus `zipf`. Of all facet combinations without a brand, the
    share `asked_test` occurs only in the test, and `asked_validation` only in the validation. A query with more than
    `max_right` relevant products is not judged, because its first ten say little; at most `max_judged` queries of a
    part are.
    """

    each: float = 5.0
    zipf: float = 0.8
    extras: tuple[float, ...] = (0.15, 0.45, 0.3, 0.1)
    no_kind: float = 0.1
    broader_kind: float = 0.15
    branded: float = 0.3
    reordered: float = 0.25
    synonyms: float = 0.25
    misspelt: float = 0.12
    partial: float = 0.08
    asked_validation: float = 0.15
    asked_test: float = 0.3
    max_right: int = 100
    max_judged: int = 5000
    seed: int = 0

    def total(self, products: int) -> int:
        """The number of interactions that are drawn for this many products."""
        return round(self.each * products)


@dataclass(frozen=True, slots=True)
class SyntheticClick:
    """A synthetic interaction: the query's text, the product's row, the facets, and the manners of wording."""

    query: str
    item: int
    facets: QueryFacets
    manners: frozenset[str]


@dataclass(frozen=True, slots=True)
class SyntheticShop:
    """A catalogue without photos, as the generator uses it. Facet values are in lower case."""

    ids: tuple[str, ...]
    titles: tuple[str, ...]
    facets: tuple[dict[str, str], ...]
    hidden: tuple[frozenset[str], ...]
    """For each product the facets that its photo shows and its title omits."""

    parts: Parts
    kinds: tuple[str, ...]
    """The facets that name a product, the most specific first."""

    synonyms: Mapping[str, tuple[str, ...]]
    rates: Mapping[str, float]
    """The relative frequency of each facet in queries."""


def read_shop(source: Path, split: SplitPolicy) -> SyntheticShop:
    """Read a catalogue without keeping photos. Raises InvalidInput if no product has an attribute to search for."""
    interned: dict[str, str] = {}
    examples = []
    for example in stream(source):
        brand = {"brand": example.brand} if example.brand else {}
        facets = _lower({**example.facets, **brand})
        facets = {interned.setdefault(k, k): interned.setdefault(v, v) for k, v in facets.items()}
        examples.append(replace(example, photo=b"", facets=facets))
    return shop_of(examples, split)


def shop_of(examples: Sequence[Example], split: SplitPolicy) -> SyntheticShop:
    """The same for examples whose facet values are in lower case."""
    counts = Counter(name for example in examples for name in example.facets)
    kinds = tuple(name for name in KINDS if counts[name] * 2 >= len(examples) and counts[name])
    if not counts.keys() - {"brand"}:
        raise InvalidInput("No product of the catalogue has an attribute to search for: a synthetic log needs some.")
    if spaced := next((example.id for example in examples if example.id.split() != [example.id]), None):
        raise InvalidInput(f"The id {spaced!r} has blanks in it: qrels cannot name it, give the product another.")
    return SyntheticShop(
        ids=tuple(example.id for example in examples),
        titles=tuple(example.title for example in examples),
        facets=tuple(dict(example.facets) for example in examples),
        hidden=tuple(map(_hidden, examples)),
        parts=parts_of(examples, split),
        kinds=kinds,
        rates={name: _rate(name, examples) for name in counts},
        synonyms=usable({value for example in examples for value in example.facets.values()}),
    )


def _hidden(example: Example) -> frozenset[str]:
    title = words(example.title)
    visible = {name: value for name, value in example.facets.items() if name in VISIBLE}
    wordings = {name: (value, *SYNONYMS.get(value, ())) for name, value in visible.items()}
    return frozenset(name for name, values in wordings.items() if not any(_mentions(title, value) for value in values))


def _mentions(title: Sequence[str], value: str) -> bool:
    """Whether a word of the title begins with a word of the value: "golden" mentions "gold"."""
    return any(word.startswith(prefix) for word in title for prefix in words(value))


def _rate(name: str, examples: Sequence[Example]) -> float:
    """Shoppers search for visible facets, and seldom for facets that titles omit too, such as a season."""
    if name in VISIBLE:
        return 2.0
    has = [example for example in examples if name in example.facets]
    mentioned = sum(not set(words(example.title)).isdisjoint(words(example.facets[name])) for example in has)
    return 1.0 if mentioned >= _MIN_MENTIONED * len(has) else 0.25


def _lower(facets: dict[str, str]) -> dict[str, str]:
    return {name: " ".join(value.lower().split()) for name, value in facets.items()}


def popularity(count: int, zipf: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """The probability of each of `count` products, by Zipf's law over random ranks."""
    chance = np.arange(1, count + 1) ** -zipf
    return rng.permutation(chance / chance.sum())


def interactions(shop: SyntheticShop, policy: SyntheticPolicy, split: SplitPolicy) -> Iterator[SyntheticClick]:
    """Yield synthetic interactions. The same shop and policies give the same interactions.

    A query belongs to the part of its product, so that no query occurs in two parts. A brand belongs to one part;
    queries without a brand are assigned by their facets, in the policy's shares. A product is skipped if no query of
    its part is found within some tries, and a query if its words already mean other facets.
    """
    rng = np.random.default_rng(policy.seed)
    chance = popularity(len(shop.ids), policy.zipf, rng)
    total = policy.total(len(shop.ids))
    meaning_of_text: dict[str, QueryFacets] = {}
    for item in rng.choice(len(shop.ids), total, p=chance).tolist():
        facets = _draw_facets(shop, item, policy, rng=rng, split=split)
        if facets:
            click = _worded(shop, item, facets, policy, rng)
            # The same words may mean other facets ("casual" "shoes", "casual shoes"): the first meaning is kept.
            if meaning_of_text.setdefault(click.query, facets) == facets:
                yield click


def _draw_facets(
    shop: SyntheticShop, item: int, policy: SyntheticPolicy, *, rng: np.random.Generator, split: SplitPolicy
) -> QueryFacets:
    """Facets of a query of the product's own part that finds it; empty if none is found."""
    has = shop.facets[item]
    branded = "brand" in has and rng.random() < policy.branded
    for _ in range(_TRIES):
        facets = _choose_facets(shop, item, policy, rng=rng, branded=branded)
        if facets and (branded or part_of_query(facets, policy, split) == shop.parts[item]):
            return facets
    return ()


def _choose_facets(
    shop: SyntheticShop, item: int, policy: SyntheticPolicy, *, rng: np.random.Generator, branded: bool
) -> QueryFacets:
    has, hidden = shop.facets[item], shop.hidden[item]
    kinds = [name for name in shop.kinds if name in has]
    extras = [name for name in has if name not in KINDS and name != "brand"]
    count = int(np.searchsorted(np.cumsum(policy.extras), rng.random(), side="right"))
    # The first of exponential arrivals, with the weights as rates, are a weighted sample without replacement.
    rates = {name: 3.0 if name in hidden else shop.rates[name] for name in extras}
    arrivals = dict(zip(extras, rng.standard_exponential(len(extras)).tolist(), strict=True))
    chosen = sorted(extras, key=lambda name: arrivals[name] / rates[name])[:count]
    if kinds and (not (chosen or branded) or rng.random() >= policy.no_kind):
        broader = len(kinds) > 1 and rng.random() < policy.broader_kind
        chosen.append(kinds[1 + rng.integers(len(kinds) - 1)] if broader else kinds[0])
    if branded:
        chosen.append("brand")
    return tuple(sorted((name, has[name]) for name in chosen))


def visible_only_queries(
    shop: SyntheticShop, part: int, policy: SyntheticPolicy, split: SplitPolicy
) -> Iterator[SyntheticClick]:
    """Every query for a kind and for facets that photos of the part show and titles omit, worded once.

    These queries are rare in the log, because most queries name other facets too. They are judged, but in no log.
    """
    rng = np.random.default_rng((policy.seed, part))
    seen: set[QueryFacets] = set()
    for item in np.flatnonzero(shop.parts == part).tolist():
        has, hidden = shop.facets[item], sorted(shop.hidden[item])
        subsets = chain.from_iterable(combinations(hidden, count + 1) for count in range(len(hidden)))
        for kind, names in product([name for name in shop.kinds if name in has], subsets):
            facets = tuple(sorted((name, has[name]) for name in (kind, *names)))
            if facets not in seen and part_of_query(facets, policy, split) == part:
                seen.add(facets)
                yield _worded(shop, item, facets, policy, rng)


def part_of_query(facets: QueryFacets, policy: SyntheticPolicy, split: SplitPolicy) -> int:
    """The part of a query without a brand, by its facets and the seed."""
    chance = chance_of(repr(facets), split.seed)
    return 2 if chance < policy.asked_test else 1 if chance < policy.asked_test + policy.asked_validation else 0


def _worded(
    shop: SyntheticShop, item: int, facets: QueryFacets, policy: SyntheticPolicy, rng: np.random.Generator
) -> SyntheticClick:
    manners = set()
    phrases = []
    for name, value in sorted(facets, key=lambda facet: _position(facet[0])):
        phrase, synonyms = value, shop.synonyms.get(value, ())
        if rng.random() < policy.synonyms and synonyms:
            phrase = synonyms[rng.integers(len(synonyms))]
            manners.add("synonym")
        elif name in KINDS and rng.random() < 0.5:
            phrase = singular(phrase)
        phrases.append(phrase)
    if len(phrases) > 1 and rng.random() < policy.reordered:
        order = rng.permutation(len(phrases))
        if (np.diff(order) < 0).any():
            phrases, manners = [phrases[i] for i in order], manners | {"reordered"}
    text = " ".join(phrases)
    for manner, share, change in (("misspelt", policy.misspelt, misspelt), ("partial", policy.partial, cut_short)):
        if rng.random() < share and (changed := change(text, rng)) != text:
            text, manners = changed, manners | {manner}
    if group := visible_group(facets, shop.hidden[item]):
        manners.add(group)
    return SyntheticClick(text, item, facets, frozenset(manners))


def visible_group(facets: QueryFacets, hidden: Set[str]) -> str:
    """The group of a query for facets that the photo shows and the title omits; empty if there is none.

    "visible_only" if it names nothing else but a kind, "visible_partly" if it does. A query with any visible facet that
    the title names has no group.
    """
    details = {name for name, _ in facets} - set(KINDS)
    visible = details & set(VISIBLE)
    if not visible or not visible <= hidden:
        return ""
    return "visible_only" if visible == details else "visible_partly"


def _position(name: str) -> int:
    """The usual position of a facet in a query: the brand, its properties, the kind."""
    return 0 if name == "brand" else 3 if name in KINDS else 2 if name in VISIBLE else 1
