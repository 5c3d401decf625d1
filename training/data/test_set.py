"""The test set of a training, as files for `liveshelf evaluate ranking`: its queries and its products."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from training.data.corpus import CorpusSource


def write(sources: Sequence[CorpusSource], out: Path) -> None:
    """Write for each catalogue `test.csv` (query, item, and the log's weight as grade) and `test.items`, an id a line.

    Files of several catalogues are numbered. A log without test queries leaves no file.
    """
    out.mkdir(parents=True, exist_ok=True)
    for number, source in enumerate(sources):
        stem = "test" if len(sources) == 1 else f"test-{number}"
        ids, log = [example.id for example in source.examples], source.test
        if not len(log.query):
            continue
        with (out / f"{stem}.csv").open("w", encoding="utf-8", newline="") as file:
            rows = zip(log.query.tolist(), log.item.tolist(), log.weight.tolist(), strict=True)
            csv.writer(file).writerows(
                [("query", "item", "grade"), *((log.queries[q], ids[i], weight) for q, i, weight in rows)]
            )
        (out / f"{stem}.items").write_text(
            "".join(f"{ids[row]}\n" for row in source.test_rows.tolist()), encoding="utf-8"
        )
