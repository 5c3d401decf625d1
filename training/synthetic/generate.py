"""A synthetic query log from a catalogue's attributes: `python -m training.synthetic.generate CATALOGUE --out DIR`.

No shopper asked any of it. It stands in for a log where there is none, and everything made of it is called synthetic.
"""

from __future__ import annotations

import argparse
import sys
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
from training.data.splits import PARTS, Parts, SplitPolicy, chance_of, parts_of
from training.synthetic.wording import SYNONYMS, cut_short, misspelt, usable

Asked = tuple[tuple[str, str], ...]
"""What a query asks for: facets and their values in lower case, in the order of the facets' names."""

# What a product is, the closest name first: a query names one of them. What a photo shows of it besides.
KINDS = ("kind", "articleType", "product_type", "type", "category", "subCategory")
VISIBLE = ("colour", "color", "baseColour", "pattern", "shape")


@dataclass(frozen=True, slots=True)
class SyntheticPolicy:
    """How the made-up shoppers ask. Shares are of queries; `each` is how many interactions there are a product.

    `extras` are the shares of queries that ask for no, one, two, three attributes beside the kind. Products are drawn
    by Zipf's law: the one of rank r as often as r to the minus `zipf`. Of all that can be asked for without a brand the
    share `asked_test` is asked in the test alone, `asked_validation` in the validation alone. A query that more than
    `max_right` products answer says little of the first ten, and is not judged; no more than `max_judged` queries of a
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
        """How many interactions are drawn for so many products."""
        return round(self.each * products)


@dataclass(frozen=True, slots=True)
class SyntheticClick:
    """One made-up interaction: the words, the product's row, what is asked for and in which manners."""

    query: str
    item: int
    asked: Asked
    manners: frozenset[str]


@dataclass(frozen=True, slots=True)
class SyntheticShop:
    """A catalogue as the generator sees it, without photos. Values are in lower case, by facet."""

    ids: tuple[str, ...]
    titles: tuple[str, ...]
    facets: tuple[dict[str, str], ...]
    hidden: tuple[frozenset[str], ...]
    """For each product the facets that its photo shows and its title does not say."""

    parts: Parts
    kinds: tuple[str, ...]
    """What says what a product is, the closest first."""

    synonyms: Mapping[str, tuple[str, ...]]
    rates: Mapping[str, float]
    """How often each facet is asked for, beside the others."""


def shop(source: Path, split: SplitPolicy) -> SyntheticShop:
    """Read a catalogue once, keeping no photo.

    Raises InvalidInput where no product has an attribute to be asked for by.
    """
    seen: dict[str, str] = {}
    examples = []
    for example in stream(source):
        named = {"brand": example.brand} if example.brand else {}
        said = {seen.setdefault(k, k): seen.setdefault(v, v) for k, v in _lower({**example.facets, **named}).items()}
        examples.append(replace(example, photo=b"", facets=said))
    return shop_of(examples, split)


def shop_of(examples: Sequence[Example], split: SplitPolicy) -> SyntheticShop:
    """The same of products at hand, whose values are in lower case."""
    there = Counter(name for example in examples for name in example.facets)
    kinds = tuple(name for name in KINDS if there[name] * 2 >= len(examples) and there[name])
    if not there.keys() - {"brand"}:
        raise InvalidInput(
            "No product of the catalogue has an attribute to be asked for by: a synthetic log needs some."
        )
    if spaced := next((example.id for example in examples if example.id.split() != [example.id]), None):
        raise InvalidInput(f"The id {spaced!r} has blanks in it: qrels cannot name it, give the product another.")
    return SyntheticShop(
        ids=tuple(example.id for example in examples),
        titles=tuple(example.title for example in examples),
        facets=tuple(dict(example.facets) for example in examples),
        hidden=tuple(map(_hidden, examples)),
        parts=parts_of(examples, split),
        kinds=kinds,
        rates={name: _rate(name, examples) for name in there},
        synonyms=usable({value for example in examples for value in example.facets.values()}),
    )


def _hidden(example: Example) -> frozenset[str]:
    title = words(example.title)
    seen = {name: value for name, value in example.facets.items() if name in VISIBLE}
    names = {name: (value, *SYNONYMS.get(value, ())) for name, value in seen.items()}
    return frozenset(name for name, said in names.items() if not any(_says(title, one) for one in said))


def _says(title: Sequence[str], value: str) -> bool:
    """Whether a word of a title begins as one of the value does: golden says gold."""
    return any(word.startswith(one) for word in title for one in words(value))


def _rate(name: str, examples: Sequence[Example]) -> float:
    """People ask for what can be seen, and seldom for what no title says either, such as a season."""
    if name in VISIBLE:
        return 2.0
    has = [example for example in examples if name in example.facets]
    said = sum(not set(words(example.title)).isdisjoint(words(example.facets[name])) for example in has)
    return 1.0 if said >= _SAID * len(has) else 0.25


def _lower(facets: dict[str, str]) -> dict[str, str]:
    return {name: " ".join(value.lower().split()) for name, value in facets.items()}


def popularity(count: int, zipf: float, draw: np.random.Generator) -> NDArray[np.float64]:
    """How likely each of `count` products is drawn: by Zipf's law over ranks dealt at random."""
    chance = np.arange(1, count + 1) ** -zipf
    return draw.permutation(chance / chance.sum())


def interactions(found: SyntheticShop, policy: SyntheticPolicy, split: SplitPolicy) -> Iterator[SyntheticClick]:
    """Made-up interactions, one after another. The same shop and policy give the same.

    A query belongs to the part of its product: by its brand, which no other part has, or else by its attributes, which
    are dealt to the parts in the policy's shares; so a part's queries are asked in no other. Passed over is a product
    for which no query of its part is found in some tries, and a query whose words have meant other attributes already.
    """
    draw = np.random.default_rng(policy.seed)
    chance = popularity(len(found.ids), policy.zipf, draw)
    total = policy.total(len(found.ids))
    meant: dict[str, Asked] = {}
    for item in draw.choice(len(found.ids), total, p=chance).tolist():
        asked = _asked(found, item, policy, draw=draw, split=split)
        if asked:
            drawn = _worded(found, item, asked, policy, draw)
            # The same words may stand for other attributes ("casual" "shoes", "casual shoes"): the first meaning stays.
            if meant.setdefault(drawn.query, asked) == asked:
                yield drawn


def _asked(
    found: SyntheticShop, item: int, policy: SyntheticPolicy, *, draw: np.random.Generator, split: SplitPolicy
) -> Asked:
    """What to ask for to find this product, by a query of its own part; empty where there is none."""
    has = found.facets[item]
    branded = "brand" in has and draw.random() < policy.branded
    for _ in range(_TRIES):
        asked = _choice(found, item, policy, draw=draw, branded=branded)
        if asked and (branded or part_of_asked(asked, policy, split) == found.parts[item]):
            return asked
    return ()


def _choice(
    found: SyntheticShop, item: int, policy: SyntheticPolicy, *, draw: np.random.Generator, branded: bool
) -> Asked:
    has, hidden = found.facets[item], found.hidden[item]
    kinds = [name for name in found.kinds if name in has]
    extras = [name for name in has if name not in KINDS and name != "brand"]
    count = int(np.searchsorted(np.cumsum(policy.extras), draw.random(), side="right"))
    # The first of exponential arrivals, whose rates are the weights, are a weighted draw without replacement.
    rates = {name: 3.0 if name in hidden else found.rates[name] for name in extras}
    arrivals = dict(zip(extras, draw.standard_exponential(len(extras)).tolist(), strict=True))
    chosen = sorted(extras, key=lambda name: arrivals[name] / rates[name])[:count]
    if kinds and (not (chosen or branded) or draw.random() >= policy.no_kind):
        broader = len(kinds) > 1 and draw.random() < policy.broader_kind
        chosen.append(kinds[1 + draw.integers(len(kinds) - 1)] if broader else kinds[0])
    if branded:
        chosen.append("brand")
    return tuple(sorted((name, has[name]) for name in chosen))


def looks(found: SyntheticShop, part: int, policy: SyntheticPolicy, split: SplitPolicy) -> Iterator[SyntheticClick]:
    """Each way to ask for a kind and for what photos of the part show and titles do not say, worded once.

    The log has few of them, for people ask for more than looks; these are there to be judged and are in no log.
    """
    draw = np.random.default_rng((policy.seed, part))
    seen: set[Asked] = set()
    for item in np.flatnonzero(found.parts == part).tolist():
        has, hidden = found.facets[item], sorted(found.hidden[item])
        some = chain.from_iterable(combinations(hidden, count + 1) for count in range(len(hidden)))
        for kind, names in product([name for name in found.kinds if name in has], some):
            asked = tuple(sorted((name, has[name]) for name in (kind, *names)))
            if asked not in seen and part_of_asked(asked, policy, split) == part:
                seen.add(asked)
                yield _worded(found, item, asked, policy, draw)


def part_of_asked(asked: Asked, policy: SyntheticPolicy, split: SplitPolicy) -> int:
    """The part that a query without a brand belongs to, by what it asks for and the seed."""
    chance = chance_of(repr(asked), split.seed)
    return 2 if chance < policy.asked_test else 1 if chance < policy.asked_test + policy.asked_validation else 0


def _worded(
    found: SyntheticShop, item: int, asked: Asked, policy: SyntheticPolicy, draw: np.random.Generator
) -> SyntheticClick:
    manners = set()
    said = []
    for name, value in sorted(asked, key=lambda one: _place(one[0])):
        worded, others = value, found.synonyms.get(value, ())
        if draw.random() < policy.synonyms and others:
            worded = others[draw.integers(len(others))]
            manners.add("synonym")
        elif name in KINDS and draw.random() < 0.5:
            worded = singular(worded)
        said.append(worded)
    if len(said) > 1 and draw.random() < policy.reordered:
        order = draw.permutation(len(said))
        if (np.diff(order) < 0).any():
            said, manners = [said[i] for i in order], manners | {"reordered"}
    text = " ".join(said)
    for manner, share, change in (("misspelt", policy.misspelt, misspelt), ("partial", policy.partial, cut_short)):
        if draw.random() < share and (changed := change(text, draw)) != text:
            text, manners = changed, manners | {manner}
    if manner := visible(asked, found.hidden[item]):
        manners.add(manner)
    return SyntheticClick(text, item, asked, frozenset(manners))


def visible(asked: Asked, hidden: Set[str]) -> str:
    """How a query asks for what the photo shows and the title does not say: "visible_only" where it asks for nothing
    else but a kind, "visible_partly" where it does, "" where some of what it asks for can be seen and is said.
    """
    besides = {name for name, _ in asked} - set(KINDS)
    seen = besides & set(VISIBLE)
    if not seen or not seen <= hidden:
        return ""
    return "visible_only" if seen == besides else "visible_partly"


def _place(name: str) -> int:
    """Where a facet stands in a query as people word it: the brand, what the thing is like, the thing."""
    return 0 if name == "brand" else 3 if name in KINDS else 2 if name in VISIBLE else 1


_TRIES = 40
_SAID = 0.15


def main(arguments: Sequence[str] | None = None) -> None:
    from training.synthetic.files import write

    parser = argparse.ArgumentParser(prog="python -m training.synthetic.generate", description=__doc__)
    parser.add_argument("catalogue", type=Path, help="a parquet or JSONL file, or a folder of them")
    parser.add_argument("--out", type=Path, required=True, help="the folder for logs and judgements")
    parser.add_argument("--seed", type=int, default=0, help="of the queries and of the split")
    parser.add_argument("--each", type=float, default=SyntheticPolicy().each, help="interactions for each product")
    parser.add_argument("--format", choices=("parquet", "jsonl"), default="parquet", help="of the logs")
    options = parser.parse_args(arguments)
    policy = SyntheticPolicy(each=options.each, seed=options.seed)
    split = SplitPolicy(seed=options.seed)
    try:
        counts = write(shop(options.catalogue, split), options.out, policy, split, suffix=options.format)
    except InvalidInput as error:
        parser.error(str(error))
    for part in PARTS:
        said = ", ".join(f"{name} {count}" for name, count in counts[part].items())
        sys.stdout.write(f"synthetic {part}: {said}\n")


if __name__ == "__main__":
    main()
