"""The files of a synthetic log: for each part its interactions, its queries, their judgements and its products."""

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
    Asked,
    SyntheticClick,
    SyntheticPolicy,
    SyntheticShop,
    interactions,
    looks,
    visible,
)

Rows = NDArray[np.int64]
_ROWS_AT_ONCE = 8192
_TWIN = "-visible"


@dataclass(slots=True)
class _SyntheticQuery:
    """A query of a part: what it asks for, in which manners it was worded, how often it came."""

    asked: Asked
    manners: set[str] = field(default_factory=set)
    count: int = 0


def write(
    found: SyntheticShop, folder: Path, policy: SyntheticPolicy, split: SplitPolicy, *, suffix: str = "parquet"
) -> dict[str, dict[str, int]]:
    """Draw the log and write every file of it. Returns, by part, how many there are of what.

    For each part `synthetic-log-PART.parquet` (or .jsonl) and `synthetic-PART.items`; for the parts that are not
    trained on `synthetic-PART.qrels` and `synthetic-PART.queries.jsonl`, and the same of `titles-PART`, whose queries
    are titles. `synthetic.json` says from what and how it was drawn.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"synthetic-log-{part}.{suffix}" for part in PARTS]
    queries, manners = _logs(found, interactions(found, policy, split), files)
    meant = {text: query.asked for some in queries for text, query in some.items()}
    counts = {}
    for part, name in enumerate(PARTS):
        rows = np.flatnonzero(found.parts == part)
        _lines(folder / f"synthetic-{name}.items", (found.ids[row] for row in rows))
        counts[name] = {
            "products": len(rows),
            "interactions": sum(query.count for query in queries[part].values()),
            "queries": len(queries[part]),
            **{f"interactions {manner}": count for manner, count in sorted(manners[part].items())},
        }
        if part != TRAIN:
            more = {
                one.query: _SyntheticQuery(one.asked)
                for one in looks(found, part, policy, split)
                if one.query not in queries[part] and meant.setdefault(one.query, one.asked) == one.asked
            }
            counts[name] |= _judge(found, rows, queries[part], more, policy=policy, stem=folder / f"synthetic-{name}")
            counts[name] |= _titles(found, rows, folder / f"titles-{name}")
    wanted = policy.total(len(found.ids))
    passed_over = wanted - sum(said["interactions"] for said in counts.values())
    said = {"synthetic": True, "policy": asdict(policy), "split": asdict(split), "counts": counts}
    said |= {"interactions wanted": wanted, "passed over": passed_over}
    (folder / "synthetic.json").write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")
    return counts


def _logs(
    found: SyntheticShop, drawn: Iterator[SyntheticClick], files: Sequence[Path]
) -> tuple[list[dict[str, _SyntheticQuery]], list[Counter[str]]]:
    """Write each interaction into its part's file. Returns, by part, its queries and how often each manner came."""
    queries: list[dict[str, _SyntheticQuery]] = [{} for _ in files]
    manners: list[Counter[str]] = [Counter() for _ in files]
    with ExitStack() as stack:
        logs = [stack.enter_context(_table(file)) for file in files]
        for one in drawn:
            part = int(found.parts[one.item])
            query = queries[part].setdefault(one.query, _SyntheticQuery(one.asked))
            query.manners |= one.manners
            query.count += 1
            row = {"query": one.query, "item": found.ids[one.item], "weight": 1.0}
            logs[part](row | {"manners": ";".join(sorted(one.manners))})
            manners[part].update(one.manners)
    return queries, manners


def _judge(
    found: SyntheticShop,
    rows: Rows,
    queries: dict[str, _SyntheticQuery],
    more: dict[str, _SyntheticQuery],
    *,
    policy: SyntheticPolicy,
    stem: Path,
) -> dict[str, int]:
    """Write the judgements of a part's queries: right is each of its products that has every attribute asked for.

    These are of the group plain, and `more` queries are not among them. A query that asks for what photos show is there
    once more where some titles do not say it: it is answered by such products alone, and those whose titles do say it
    are left out of its ranking. It is of the group visible_only, or visible_partly where it asks for more than that and
    a kind.
    """
    holders: dict[tuple[str, str], set[int]] = defaultdict(set)
    for row in rows.tolist():
        for one in found.facets[row].items():
            holders[one].add(row)
    head = _head(queries)
    judged: list[tuple[str, str, set[str], set[int], set[int]]] = []
    broad = 0
    for number, text in enumerate([*_some(queries, policy), *sorted(more)]):
        query = more.get(text) or queries[text]
        right = set.intersection(*(holders[one] for one in query.asked))
        seen = {row: said for row in right if (said := visible(query.asked, found.hidden[row]))}
        if 0 < len(seen) <= policy.max_right:
            judged.append((f"q{number}{_TWIN}", text, set(seen.values()), set(seen), right - set(seen)))
        if text in more:
            continue
        if len(right) > policy.max_right:
            broad += 1
            continue
        groups = {one for one in query.manners if not one.startswith("visible")}
        judged.append((f"q{number}", text, groups | {"plain", "head" if text in head else "tail"}, right, set()))
    _write_judged(found, judged, stem)
    sizes = Counter(group for one in judged for group in one[2])
    return {"judged": len(judged), **dict(sorted(sizes.items())), "too broad to judge": broad}


def _some(queries: dict[str, _SyntheticQuery], policy: SyntheticPolicy) -> list[str]:
    """The queries to be judged: all, or as many as the policy has, drawn by its seed, in the order of their words."""
    texts = sorted(queries)
    if len(texts) <= policy.max_judged:
        return texts
    chosen = np.random.default_rng(policy.seed).choice(len(texts), policy.max_judged, replace=False)
    return [texts[i] for i in sorted(chosen.tolist())]


def _head(queries: dict[str, _SyntheticQuery]) -> set[str]:
    """The commonest queries that together make half of the interactions."""
    head: set[str] = set()
    left = sum(query.count for query in queries.values()) / 2
    for text in sorted(queries, key=lambda text: (-queries[text].count, text)):
        if left <= 0:
            break
        head.add(text)
        left -= queries[text].count
    return head


def _titles(found: SyntheticShop, rows: Rows, stem: Path) -> dict[str, int]:
    """Write each title of a part as a query; right is every product of that title."""
    same: dict[str, set[int]] = defaultdict(set)
    for row in rows.tolist():
        if title := " ".join(found.titles[row].split()):
            same[title].add(row)
    judged = [
        (f"t{number}", title, set[str](), right, set[int]()) for number, (title, right) in enumerate(same.items())
    ]
    _write_judged(found, judged, stem)
    return {"titles": len(judged)}


def _write_judged(
    found: SyntheticShop, judged: list[tuple[str, str, set[str], set[int], set[int]]], stem: Path
) -> None:
    ids = found.ids
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
    """Rows go into a parquet or JSONL file as they come, none of them kept for long."""
    if file.suffix == ".jsonl":
        with file.open("w", encoding="utf-8") as out:
            yield lambda row: print(json.dumps(row, ensure_ascii=False), file=out)
        return
    import pyarrow
    import pyarrow.parquet as parquet

    kinds = {"query": pyarrow.string(), "item": pyarrow.string(), "weight": pyarrow.float32()}
    kinds |= {"manners": pyarrow.string()}
    schema = pyarrow.schema([pyarrow.field(name, kind) for name, kind in kinds.items()])
    waiting: list[dict[str, Any]] = []
    with parquet.ParquetWriter(file, schema) as table:

        def put(row: dict[str, Any]) -> None:
            waiting.append(row)
            if len(waiting) == _ROWS_AT_ONCE:
                flush()

        def flush() -> None:
            table.write_table(pyarrow.Table.from_pylist(waiting, schema))
            waiting.clear()

        yield put
        flush()
