"""The comparison as one self-contained HTML page: tables, and example queries with two models' hits side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from string import Template

import numpy as np

from evaluation.comparison import ALL, Comparison, EvaluatedModel
from evaluation.intervals import Difference, Estimate
from evaluation.metrics import ndcg

SHOWN = 10
"""Places of each ranking on the page."""


@dataclass(frozen=True, slots=True)
class ShownQueries:
    """Rows of the queries on the page: those for which the first model is worst and best, compared with the second."""

    worst: tuple[int, ...]
    best: tuple[int, ...]

    def items(self, comparison: Comparison) -> list[int]:
        """The rows of all products on the page."""
        rows = [*self.worst, *self.best]
        return sorted({int(i) for model in comparison.models[:2] for i in model.ranking[rows, :SHOWN].flat if i >= 0})


def choose(comparison: Comparison, count: int) -> ShownQueries:
    """Up to `count` queries at either end by nDCG, or by the difference of two models' nDCG.

    If more than `count` queries share the extreme value, an evenly spaced sample of them is taken.
    """
    k = comparison.depths.first
    scores = [ndcg(model.gains, k) for model in comparison.models[:2]]
    value = scores[0] - scores[1] if len(scores) > 1 else scores[0]
    order = np.argsort(value, kind="stable")
    middle = 0.0 if len(scores) > 1 else 0.5
    worst = [int(i) for i in order if value[i] < middle]
    best = [int(i) for i in order[::-1] if value[i] > middle]
    return ShownQueries(_ends(worst, value, count), _ends(best, value, count))


def _ends(rows: Sequence[int], value: np.ndarray[tuple[int], np.dtype[np.float64]], count: int) -> tuple[int, ...]:
    """The first rows, or an evenly spaced sample of those that equal the first."""
    equal = [row for row in rows if value[row] == value[rows[0]]]
    if len(equal) <= count:
        return tuple(rows[:count])
    return tuple(equal[i * len(equal) // count] for i in range(count))


@dataclass(frozen=True, slots=True)
class PageProduct:
    """A product on the page: its id, its title, and a picture as a data: URL or ""."""

    id: str
    title: str
    picture: str = ""


def page(comparison: Comparison, shown: ShownQueries, products: Callable[[int], PageProduct]) -> str:
    """The page as HTML. `products` returns a product by its row."""
    models = [model.name for model in comparison.models]
    ours, *others = models
    sections = [_table(f"All {len(comparison.judged.queries)} queries", _overall(comparison))]
    sections += [_table(f"{ours} less {other}", _differences(comparison, other)) for other in others]
    sections += [_table(f"By group: {metric}", _groups(comparison, metric)) for metric in comparison.models[0].values]
    ends = (("Where it does worst", shown.worst), ("Where it does best", shown.best))
    if others:
        ends = ((f"Where {ours} loses most to {others[0]}", shown.worst), ("Where it gains most", shown.best))
    for heading, rows in ends:
        cards = "".join(_query(comparison, row, products) for row in rows) or "<p class=quiet>No query.</p>"
        sections.append(f"<section><h2>{escape(heading)}</h2>{cards}</section>")
    chance = comparison.depths.chance
    template = Template(files("evaluation").joinpath("page.html").read_text("utf-8"))
    return template.substitute(
        title=escape(" and ".join(models[:2])),
        summary=escape(
            f"{len(comparison.judged.queries)} judged queries, {comparison.items} products; brackets are "
            f"{chance.within:.0%} intervals by bootstrap over queries, p is of a paired randomisation "
            f"test (seed {chance.seed}). Products without a judgement count as not relevant."
        ),
        skipped="".join(f"<li>{escape(sentence)}</li>" for sentence in comparison.judged.skipped.sentences()),
        body="\n".join(sections),
    )


Cells = tuple[Sequence[str], Sequence[Sequence[str]]]


def _overall(comparison: Comparison) -> Cells:
    names = list(comparison.models[0].values)
    rows = [
        [m.name, *(_estimate(comparison.estimates[m.name][ALL].get(name)) for name in names)] for m in comparison.models
    ]
    return ["model", *names], rows


def _differences(comparison: Comparison, other: str) -> Cells:
    by_group = comparison.differences[other]
    names = list(by_group[ALL])
    rows = [[group, *(_difference(differences[name]) for name in names)] for group, differences in by_group.items()]
    return ["group", *names], rows


def _groups(comparison: Comparison, metric: str) -> Cells:
    names = [model.name for model in comparison.models]
    rows = [
        [group, str(size), *(_estimate(comparison.estimates[name][group].get(metric)) for name in names)]
        for group, size in comparison.sizes.items()
    ]
    return ["group", "queries", *names], rows


def _estimate(estimate: Estimate | None) -> str:
    return "-" if estimate is None or np.isnan(estimate.mean) else str(estimate)


def _difference(difference: Difference) -> str:
    return "-" if np.isnan(difference.estimate.mean) else str(difference)


def _table(heading: str, cells: Cells) -> str:
    head, rows = cells
    headings = "".join(f"<th scope=col>{escape(name)}</th>" for name in head)
    body = "".join(
        "<tr>" + f"<th scope=row>{escape(row[0])}</th>" + "".join(map(_cell, row[1:])) + "</tr>" for row in rows
    )
    return (
        f"<section><h2>{escape(heading)}</h2><div class=scroll><table><thead><tr>{headings}</tr></thead>"
        f"<tbody>{body}</tbody></table></div></section>"
    )


def _cell(text: str) -> str:
    """A figure; the text after it is in small type."""
    figure, _, rest = text.partition(" ")
    return f"<td>{escape(figure)}{f' <small>{escape(rest)}</small>' if rest else ''}</td>"


def _query(comparison: Comparison, row: int, products: Callable[[int], PageProduct]) -> str:
    judged = comparison.judged
    groups = [name for name, mask in comparison.groups.items() if mask[row] and name != ALL]
    labels = "".join(f"<li>{escape(group)}</li>" for group in groups)
    columns = "".join(_column(comparison, model, row, products) for model in comparison.models[:2])
    return (
        f"<article><h3>{escape(judged.queries[row])}</h3><ul class=groups>{labels}</ul>"
        f"<p class=quiet>{_counts(comparison, row)}</p>"
        f"<div class=sides>{columns}</div></article>"
    )


def _counts(comparison: Comparison, row: int) -> str:
    relevant = int(comparison.models[0].gains.relevant[row])
    left_out = len(comparison.judged.left_out.of(row))
    return f"relevant products: {relevant}" + (f"; left out of the ranking: {left_out}" if left_out else "")


def _column(comparison: Comparison, model: EvaluatedModel, row: int, products: Callable[[int], PageProduct]) -> str:
    k = comparison.depths.first
    value = float(ndcg(model.gains, k)[row])
    places = zip(model.ranking[row, :SHOWN].tolist(), model.gains.gains[row, :SHOWN].tolist(), strict=True)
    hits = "".join(_hit(products(item), relevant=gain > 0) for item, gain in places if item >= 0)
    return (
        f"<section class=side><h4>{escape(model.name)} <small>nDCG@{k} {value:.2f}</small></h4>"
        f"<ol>{hits or '<li class=none>nothing found</li>'}</ol></section>"
    )


def _hit(product: PageProduct, *, relevant: bool) -> str:
    image = (
        f'<img src="{escape(product.picture)}" alt="" loading="lazy">'
        if product.picture
        else "<span class=blank></span>"
    )
    style, label = ("right", "✓ relevant") if relevant else ("wrong", "✗ not relevant")
    return (
        f'<li class={style} title="{escape(product.id)}">{image}'
        f"<span class=mark>{label}</span><span class=name>{escape(product.title)}</span></li>"
    )


def pictured(ids: Sequence[str], titles: Sequence[str], pictures: Mapping[int, str]) -> Callable[[int], PageProduct]:
    """A function that returns a product by its row, from columns."""
    return lambda row: PageProduct(ids[row], titles[row], pictures.get(row, ""))
