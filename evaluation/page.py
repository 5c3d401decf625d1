"""The findings as one self-contained page: tables, and queries with what two models find, side by side."""

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
"""Places of a ranking that the page shows."""


@dataclass(frozen=True, slots=True)
class ShownQueries:
    """Queries of the page by their rows: those where the first model does worst beside the second, and best."""

    worst: tuple[int, ...]
    best: tuple[int, ...]

    def items(self, found: Comparison) -> list[int]:
        """The rows of all products that the page shows."""
        rows = [*self.worst, *self.best]
        return sorted({int(i) for model in found.models[:2] for i in model.ranking[rows, :SHOWN].flat if i >= 0})


def choose(found: Comparison, count: int) -> ShownQueries:
    """Up to `count` queries at either end: by nDCG in the first places, of two models by its difference.

    Where more than that many are at the very end, they are taken at even distances.
    """
    k = found.depths.first
    scores = [ndcg(model.marks, k) for model in found.models[:2]]
    value = scores[0] - scores[1] if len(scores) > 1 else scores[0]
    order = np.argsort(value, kind="stable")
    middle = 0.0 if len(scores) > 1 else 0.5
    worst = [int(i) for i in order if value[i] < middle]
    best = [int(i) for i in order[::-1] if value[i] > middle]
    return ShownQueries(_ends(worst, value, count), _ends(best, value, count))


def _ends(rows: Sequence[int], value: np.ndarray[tuple[int], np.dtype[np.float64]], count: int) -> tuple[int, ...]:
    """The first rows; among those that are equal to the first, some at even distances."""
    equal = [row for row in rows if value[row] == value[rows[0]]]
    if len(equal) <= count:
        return tuple(rows[:count])
    return tuple(equal[i * len(equal) // count] for i in range(count))


@dataclass(frozen=True, slots=True)
class PageProduct:
    """What the page shows of a product: its id, its title and a picture as a data: URL, "" where there is none."""

    id: str
    title: str
    picture: str = ""


def page(found: Comparison, shown: ShownQueries, products: Callable[[int], PageProduct]) -> str:
    """The page, HTML. `products` tells of a product by its row."""
    models = [model.name for model in found.models]
    ours, *others = models
    parts = [_table(f"All {len(found.judged.queries)} queries", _overall(found))]
    parts += [_table(f"{ours} less {other}", _differences(found, other)) for other in others]
    parts += [_table(f"By group: {measure}", _groups(found, measure)) for measure in found.models[0].values]
    ends = (("Where it does worst", shown.worst), ("Where it does best", shown.best))
    if others:
        ends = ((f"Where {ours} loses most to {others[0]}", shown.worst), ("Where it gains most", shown.best))
    for heading, rows in ends:
        cards = "".join(_query(found, row, products) for row in rows) or "<p class=quiet>No query.</p>"
        parts.append(f"<section><h2>{escape(heading)}</h2>{cards}</section>")
    template = Template(files("evaluation").joinpath("page.html").read_text("utf-8"))
    return template.substitute(
        title=escape(" and ".join(models[:2])),
        summary=escape(
            f"{len(found.judged.queries)} judged queries, {found.items} products; brackets are "
            f"{found.depths.chance.within:.0%} intervals by bootstrap over queries, p is of a paired randomisation "
            f"test (seed {found.depths.chance.seed}). What is not judged counts as wrong."
        ),
        skipped="".join(f"<li>{escape(said)}</li>" for said in found.judged.skipped.told()),
        body="\n".join(parts),
    )


Cells = tuple[Sequence[str], Sequence[Sequence[str]]]


def _overall(found: Comparison) -> Cells:
    names = list(found.models[0].values)
    rows = [[m.name, *(_estimate(found.estimates[m.name][ALL].get(name)) for name in names)] for m in found.models]
    return ["model", *names], rows


def _differences(found: Comparison, other: str) -> Cells:
    by_group = found.differences[other]
    names = list(by_group[ALL])
    rows = [[group, *(_difference(said[name]) for name in names)] for group, said in by_group.items()]
    return ["group", *names], rows


def _groups(found: Comparison, measure: str) -> Cells:
    names = [model.name for model in found.models]
    rows = [
        [group, str(size), *(_estimate(found.estimates[name][group].get(measure)) for name in names)]
        for group, size in found.sizes.items()
    ]
    return ["group", "queries", *names], rows


def _estimate(estimate: Estimate | None) -> str:
    return "-" if estimate is None or np.isnan(estimate.mean) else str(estimate)


def _difference(difference: Difference) -> str:
    return "-" if np.isnan(difference.estimate.mean) else str(difference)


def _table(heading: str, cells: Cells) -> str:
    head, rows = cells
    said = "".join(f"<th scope=col>{escape(one)}</th>" for one in head)
    body = "".join(
        "<tr>" + f"<th scope=row>{escape(row[0])}</th>" + "".join(map(_cell, row[1:])) + "</tr>" for row in rows
    )
    return (
        f"<section><h2>{escape(heading)}</h2><div class=scroll><table><thead><tr>{said}</tr></thead>"
        f"<tbody>{body}</tbody></table></div></section>"
    )


def _cell(text: str) -> str:
    """A figure, what follows it made quiet."""
    figure, _, rest = text.partition(" ")
    return f"<td>{escape(figure)}{f' <small>{escape(rest)}</small>' if rest else ''}</td>"


def _query(found: Comparison, row: int, products: Callable[[int], PageProduct]) -> str:
    judged = found.judged
    groups = [name for name, there in found.groups.items() if there[row] and name != ALL]
    marks = "".join(f"<li>{escape(group)}</li>" for group in groups)
    columns = "".join(_column(found, model, row, products) for model in found.models[:2])
    return (
        f"<article><h3>{escape(judged.queries[row])}</h3><ul class=groups>{marks}</ul>"
        f"<p class=quiet>{_counted(found, row)}</p>"
        f"<div class=sides>{columns}</div></article>"
    )


def _counted(found: Comparison, row: int) -> str:
    right, out = int(found.models[0].marks.right[row]), len(found.judged.left_out.of(row))
    return f"right products: {right}" + (f"; left out of the ranking: {out}" if out else "")


def _column(found: Comparison, model: EvaluatedModel, row: int, products: Callable[[int], PageProduct]) -> str:
    k = found.depths.first
    value = float(ndcg(model.marks, k)[row])
    places = zip(model.ranking[row, :SHOWN].tolist(), model.marks.gains[row, :SHOWN].tolist(), strict=True)
    hits = "".join(_hit(products(item), right=gain > 0) for item, gain in places if item >= 0)
    return (
        f"<section class=side><h4>{escape(model.name)} <small>nDCG@{k} {value:.2f}</small></h4>"
        f"<ol>{hits or '<li class=none>nothing found</li>'}</ol></section>"
    )


def _hit(product: PageProduct, *, right: bool) -> str:
    image = (
        f'<img src="{escape(product.picture)}" alt="" loading="lazy">'
        if product.picture
        else "<span class=blank></span>"
    )
    mark, said = ("right", "✓ right") if right else ("wrong", "✗ wrong")
    return (
        f'<li class={mark} title="{escape(product.id)}">{image}'
        f"<span class=mark>{said}</span><span class=name>{escape(product.title)}</span></li>"
    )


def pictured(ids: Sequence[str], titles: Sequence[str], pictures: Mapping[int, str]) -> Callable[[int], PageProduct]:
    """Products by their row, from columns."""
    return lambda row: PageProduct(ids[row], titles[row], pictures.get(row, ""))
