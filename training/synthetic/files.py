"""The files of a synthetic log: for each part its interactions, queries, judgements and products."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.data.splits import PARTS, TRAIN, SplitPolicy
from training.synthetic.generate import (
    QueryFacets,
    SyntheticClick,
    SyntheticPolicy,
    SyntheticShop,
    interactions,
    visible_group,
    visible_only_queries,
)

Rows = NDArray[np.int64]
_BATCH_ROWS = 8192
_VISIBLE_SUFFIX = "-visible"


@dataclass(slots=True)
class _SyntheticQuery:
    """A query of a part: its facets, the manners of its wordings, and its number of interactions."""

    facets: QueryFacets
    manners: set[str] = field(default_factory=set)
    count: int = 0


def write(
    shop: SyntheticShop, folder: Path, policy: SyntheticPolicy, split: SplitPolicy, *, suffix: str = "parquet"
) -> dict[str, dict[str, int]]:
    """Generate the log and write all its files. Returns counts by part.

    - For each part `synthetic-log-PART.parquet` (or .jsonl) and `synthetic-PART.items`.
    - For validation and test `synthetic-PART.qrels` and `synthetic-PART.queries.jsonl`, and the same for `titles-PART`,
      whose queries are titles.
    - `synthetic.json` with the policies and the counts.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"synthetic-log-{part}.{suffix}" for part in PARTS]
    queries, manners = _write_logs(shop, interactions(shop, policy, split), files)
    meaning_of_text = {text: query.facets for part in queries for text, query in part.items()}
    counts = {}
    for part, name in enumerate(PARTS):
        rows = np.flatnonzero(shop.parts == part)
        _lines(folder / f"synthetic-{name}.items", (shop.ids[row] for row in rows))
        counts[name] = {
            "products": len(rows),
            "interactions": sum(query.count for query in queries[part].values()),
            "queries": len(queries[part]),
            **{f"interactions {manner}": count for manner, count in sorted(manners[part].items())},
        }
        if part != TRAIN:
            extra = {
                click.query: _SyntheticQuery(click.facets)
                for click in visible_only_queries(shop, part, policy, split)
                if click.query not in queries[part]
                and meaning_of_text.setdefault(click.query, click.facets) == click.facets
            }
            counts[name] |= _judge(shop, rows, queries[part], extra, policy=policy, stem=folder / f"synthetic-{name}")
            counts[name] |= _judge_titles(shop, rows, folder / f"titles-{name}")
    total = policy.total(len(shop.ids))
    skipped = total - sum(part_counts["interactions"] for part_counts in counts.values())
    summary = {"synthetic": True, "policy": asdict(policy), "split": asdict(split), "counts": counts}
    summary |= {"interactions wanted": total, "passed over": skipped}
    (folder / "synthetic.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    return counts


def _write_logs(
    shop: SyntheticShop, clicks: Iterator[SyntheticClick], files: Sequence[Path]
) -> tuple[list[dict[str, _SyntheticQuery]], list[Counter[str]]]:
    """Write each interaction into its part's file. Returns each part's queries and its counts of manners."""
    queries: list[dict[str, _SyntheticQuery]] = [{} for _ in files]
    manners: list[Counter[str]] = [Counter() for _ in files]
    with ExitStack() as stack:
        logs = [stack.enter_context(_table(file)) for file in files]
        for click in clicks:
            part = int(shop.parts[click.item])
            query = queries[part].setdefault(click.query, _SyntheticQuery(click.facets))
            query.manners |= click.manners
            query.count += 1
            row = {"query": click.query, "item": shop.ids[click.item], "weight": 1.0}
            logs[part](row | {"manners": ";".join(sorted(click.manners))})
            manners[part].update(click.manners)
    return queries, manners


def _judge(
    shop: SyntheticShop,
    rows: Rows,
    queries: dict[str, _SyntheticQuery],
    extra: dict[str, _SyntheticQuery],
    *,
    policy: SyntheticPolicy,
    stem: Path,
) -> dict[str, int]:
    """Write the judgements of a part's queries: relevant is each product of the part with all facets of the query.

    These queries are in the group plain; `extra` queries are not. A query for visible facets is judged a second time if
    some titles omit them. Then only those products are relevant, and products whose titles name the facets are left out
    of its ranking. That query is in the group visible_only, or visible_partly if it names more than those and a kind.
    """
    holders: dict[tuple[str, str], set[int]] = defaultdict(set)
    for row in rows.tolist():
        for facet in shop.facets[row].items():
            holders[facet].add(row)
    head = _head(queries)
    judged: list[tuple[str, str, set[str], set[int], set[int]]] = []
    broad = 0
    for number, text in enumerate([*_sample(queries, policy), *sorted(extra)]):
        query = extra.get(text) or queries[text]
        right = set.intersection(*(holders[facet] for facet in query.facets))
        visible = {row: group for row in right if (group := visible_group(query.facets, shop.hidden[row]))}
        if 0 < len(visible) <= policy.max_right:
            judged.append(
                (f"q{number}{_VISIBLE_SUFFIX}", text, set(visible.values()), set(visible), right - set(visible))
            )
        if text in extra:
            continue
        if len(right) > policy.max_right:
            broad += 1
            continue
        groups = {manner for manner in query.manners if not manner.startswith("visible")}
        judged.append((f"q{number}", text, groups | {"plain", "head" if text in head else "tail"}, right, set()))
    _write_judged(shop, judged, stem)
    sizes = Counter(group for _, _, groups, _, _ in judged for group in groups)
    return {"judged": len(judged), **dict(sorted(sizes.items())), "too broad to judge": broad}


def _sample(queries: dict[str, _SyntheticQuery], policy: SyntheticPolicy) -> list[str]:
    """The queries to judge, sorted: all, or a random sample of the policy's maximum."""
    texts = sorted(queries)
    if len(texts) <= policy.max_judged:
        return texts
    chosen = np.random.default_rng(policy.seed).choice(len(texts), policy.max_judged, replace=False)
    return [texts[i] for i in sorted(chosen.tolist())]


def _head(queries: dict[str, _SyntheticQuery]) -> set[str]:
    """The most frequent queries that together make half of the interactions."""
    head: set[str] = set()
    remaining = sum(query.count for query in queries.values()) / 2
    for text in sorted(queries, key=lambda text: (-queries[text].count, text)):
        if remaining <= 0:
            break
        head.add(text)
        remaining -= queries[text].count
    return head


def _judge_titles(shop: SyntheticShop, rows: Rows, stem: Path) -> dict[str, int]:
    """Write each title of a part as a query; relevant is every product with that title."""
    products: dict[str, set[int]] = defaultdict(set)
    for row in rows.tolist():
        if title := " ".join(shop.titles[row].split()):
            products[title].add(row)
    judged = [
        (f"t{number}", title, set[str](), right, set[int]()) for number, (title, right) in enumerate(products.items())
    ]
    _write_judged(shop, judged, stem)
    return {"titles": len(judged)}


def _write_judged(shop: SyntheticShop, judged: list[tuple[str, str, set[str], set[int], set[int]]], stem: Path) -> None:
    ids = shop.ids
    _lines(
        stem.with_name(f"{stem.name}.queries.jsonl"),
        (
            json.dumps(
                {"id": name, "query": text, "groups": sorted(groups), "left_out": [ids[row] for row in sorted(out)]},
                ensure_ascii=False,
            )
            for name, text, groups, _, out in judged
        ),
    )
    _lines(
        stem.with_name(f"{stem.name}.qrels"),
        (f"{name} 0 {ids[row]} 1" for name, _, _, right, _ in judged for row in sorted(right)),
    )


def _lines(file: Path, lines: Iterator[str]) -> None:
    with file.open("w", encoding="utf-8") as out:
        out.writelines(f"{line}\n" for line in lines)


@contextmanager
def _table(file: Path) -> Iterator[Callable[[dict[str, Any]], None]]:
    """A function that writes rows to a parquet or JSONL file, in batches."""
    if file.suffix == ".jsonl":
        with file.open("w", encoding="utf-8") as out:
            yield lambda row: print(json.dumps(row, ensure_ascii=False), file=out)
        return
    import pyarrow
    import pyarrow.parquet as parquet

    types = {"query": pyarrow.string(), "item": pyarrow.string(), "weight": pyarrow.float32()}
    types |= {"manners": pyarrow.string()}
    schema = pyarrow.schema([pyarrow.field(name, dtype) for name, dtype in types.items()])
    pending: list[dict[str, Any]] = []
    with parquet.ParquetWriter(file, schema) as table:

        def put(row: dict[str, Any]) -> None:
            pending.append(row)
            if len(pending) == _BATCH_ROWS:
                flush()

        def flush() -> None:
            table.write_table(pyarrow.Table.from_pylist(pending, schema))
            pending.clear()

        yield put
        flush()
