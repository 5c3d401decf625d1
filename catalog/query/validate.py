"""Validates queries, and chooses their mode. An error is one sentence that names the field."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from catalog.domain.index_query import Fusion, ReciprocalRankFusion, WeightedFusion
from catalog.errors import InvalidInput
from catalog.query.query import Mode, Query, QueryPart


@dataclass(frozen=True, slots=True)
class QueryPolicy:
    """The limits of a query, and the defaults of what it leaves out.

    - `mode`: for queries of text only; all others default to dense. docs/search.md has the measurements behind it
      and `fusion`
    - `max_text`: in characters; the encoder truncates longer text anyway
    - `windows`: numbers of best hits that are fused, sorted or grouped. The smallest sufficient one is used, so that
      the pages of one result are consistent. The last one limits offset + limit
    - `max_grouped`: the number of hits within which groups are formed
    - `within_s`: the time limit in seconds
    - `encode_share`: the encoder's share of the time limit, if the query has words to fall back on
    - `facets_share`: the share of the remaining time for counting facets
    - `parent`: the field that the variants of one product share
    """

    mode: Mode = Mode.HYBRID
    fusion: Fusion = WeightedFusion(0.8)
    max_limit: int = 1000
    max_text: int = 1000
    max_parts: int = 16
    max_weight: float = 100.0
    max_facets: int = 16
    max_values: int = 1000
    max_group: int = 100
    max_ef: int = 10_000
    max_grouped: int = 1000
    windows: tuple[int, ...] = (200, 1000, 10_000)
    within_s: float = 10.0
    max_within_s: float = 60.0
    encode_share: float = 0.5
    facets_share: float = 0.9
    parent: str = "attributes.parent"

    def window(self, needed: int) -> int:
        """The smallest window of at least `needed` hits. Raises InvalidInput if there is none."""
        for window in self.windows:
            if needed <= window:
                return window
        raise InvalidInput(f"offset: offset and limit together are {needed}, more than the {self.windows[-1]} allowed")


def validate_query(query: Query, policy: QueryPolicy, vectors: Collection[str], *, max_limit: int) -> None:
    """Raises InvalidInput if a query exceeds the limits of the policy, or `max_limit` hits."""
    for problem in _problems(query, policy, vectors, max_limit):
        raise InvalidInput(problem)


def effective_parts(parts: Collection[QueryPart]) -> tuple[QueryPart, ...]:
    """The parts that are not empty, with their text stripped. Raises InvalidInput if all are empty."""
    stripped = [(part, (part.text or "").strip() or None) for part in parts]
    effective = tuple(
        QueryPart(text, part.image, part.product, part.weight)
        for part, text in stripped
        if part.weight and (text or part.image is not None or part.product is not None)
    )
    if not effective:
        raise InvalidInput("an empty query finds nothing: give some text, an image, or both")
    return effective


def words_of(parts: Collection[QueryPart]) -> str | None:
    """The words to match against titles: those of all parts with a positive weight."""
    return " ".join(part.text for part in parts if part.text and part.weight > 0) or None


def resolve_mode(query: Query, parts: Collection[QueryPart], policy: QueryPolicy) -> Mode:
    """The mode of the answer. Raises InvalidInput if the parts do not allow it."""
    words = words_of(parts)
    text_only = all(part.text and part.image is None and part.product is None and part.weight > 0 for part in parts)
    mode = query.mode or (Mode.HYBRID if query.fusion else policy.mode if text_only else Mode.DENSE)
    if mode is not Mode.DENSE and not words:
        raise InvalidInput(f"mode: {mode} looks for words: give some text, or ask for dense")
    if mode is Mode.LEXICAL and not text_only:
        raise InvalidInput(
            "mode: lexical looks for words alone, without negative weights: leave the rest out, or ask for hybrid"
        )
    if query.fusion and mode is not Mode.HYBRID:
        raise InvalidInput(f"fusion: there is nothing to fuse in a search that is {mode}: ask for hybrid")
    return mode


def _problems(query: Query, policy: QueryPolicy, vectors: Collection[str], max_limit: int) -> Iterator[str]:
    if len(query.parts) > policy.max_parts:
        yield f"mix: {len(query.parts)} parts are more than {policy.max_parts}"
    for part in query.parts:
        if len(part.text or "") > policy.max_text:
            yield f"text: {len(part.text or '')} characters are more than the {policy.max_text} a query may have"
        if not abs(part.weight) <= policy.max_weight:
            yield f"weight: {part.weight:g} is not between {-policy.max_weight:g} and {policy.max_weight:g}"
    if not 1 <= query.limit <= max_limit:
        yield f"limit: {query.limit} is not between 1 and {max_limit}"
    if query.offset < 0:
        yield f"offset: {query.offset} is below 0"
    if query.using not in vectors:
        yield f"using: there is no vector {query.using!r}; there are {', '.join(sorted(vectors))}"
    if query.ef is not None and not 1 <= query.ef <= policy.max_ef:
        yield f"ef: {query.ef} is not between 1 and {policy.max_ef}"
    if query.within_s is not None and not 0 < query.within_s <= policy.max_within_s:
        yield f"timeout_ms: {query.within_s * 1000:g} is not between 1 and {policy.max_within_s * 1000:g}"
    if query.fusion:
        yield from _fusion_problems(query.fusion)
    yield from _shape_problems(query, policy)


def _shape_problems(query: Query, policy: QueryPolicy) -> Iterator[str]:
    needed = query.offset + query.limit
    if needed > policy.windows[-1]:
        yield f"offset: offset and limit together are {needed}, more than the {policy.windows[-1]} allowed"
    if query.group_by is not None and needed > policy.max_grouped:
        yield f"offset: offset and limit together are {needed}, more than the {policy.max_grouped} of a grouped search"
    if not 1 <= query.group_size <= policy.max_group:
        yield f"group_size: {query.group_size} is not between 1 and {policy.max_group}"
    if len(query.facets) > policy.max_facets:
        yield f"facets: {len(query.facets)} fields are more than {policy.max_facets}"
    for facet in query.facets:
        if not 1 <= facet.limit <= policy.max_values:
            yield f"facets: a limit of {facet.limit} is not between 1 and {policy.max_values}"
    if len({facet.field for facet in query.facets}) < len(query.facets):
        yield "facets: a field is given more than once"


def _fusion_problems(fusion: Fusion) -> Iterator[str]:
    if isinstance(fusion, ReciprocalRankFusion):
        if not 1 <= fusion.k <= 10_000:
            yield f"fusion: k is {fusion.k}, not between 1 and 10000"
        weights = (fusion.dense, fusion.lexical)
        if not all(math.isfinite(w) and w >= 0 for w in weights) or not any(weights):
            yield "fusion: the weights of dense and lexical must be finite, none below 0 and not both 0"
    elif not 0 <= fusion.dense <= 1:
        yield f"fusion: the weight of dense is {fusion.dense:g}, not between 0 and 1"
