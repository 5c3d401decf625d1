"""The catalogues and logs that a recipe names, read and split."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from catalog.errors import Misuse
from training.corpus import Source
from training.data import read
from training.log import Log, read_log
from training.recipe import Data
from training.splits import PARTS, SplitPolicy, parts_of, split_log


def sources(data: Data, said: list[str]) -> list[Source]:
    """Each catalogue with its log. What was read and what was passed over is added to `said`. Raises Misuse."""
    if not data.catalogues or len(data.catalogues) != len(data.logs):
        raise Misuse(
            "The recipe names no catalogue, or not one log for each: "
            "set data.catalogues and data.logs, as in --set data.catalogues=shop.jsonl --set data.logs=log.csv."
        )
    return [
        _source(Path(catalogue), Path(log), data, said)
        for catalogue, log in zip(data.catalogues, data.logs, strict=True)
    ]


def _source(catalogue: Path, log: Path, data: Data, said: list[str]) -> Source:
    examples = read(catalogue)
    found = _log(log, [example.id for example in examples], said)
    policy = SplitPolicy(validation=data.validation, test=data.test, seed=data.split_seed)
    parts = parts_of(examples, policy)
    split = split_log(found, parts, seed=data.split_seed)
    train, validation, test = split.parts
    if split.crossing:
        said.append(f"{split.crossing} interactions are left out: their query belongs to another part of the split.")
    if not len(train.query):
        raise Misuse(f"{log} leaves nothing to train on: it needs queries for more products of {catalogue}.")
    said.append(f"{catalogue}: {len(train.query)} interactions to train on, {len(validation.query)} to validate on.")
    taught, shelf, tested = (np.flatnonzero(parts == part) for part in range(len(PARTS)))
    return Source(examples, train, validation, test, taught=taught, shelf=shelf, tested=tested)


def _log(source: Path, ids: Sequence[str], said: list[str]) -> Log:
    """The log in that file, or in the files of that pattern. Raises Misuse."""
    files = sorted(source.parent.glob(source.name)) if "*" in source.name else [source]
    if not files:
        raise Misuse(f"There is no log at {source}: name a parquet, JSONL or CSV file.")
    logs = [read_log(file, ids) for file in files]
    said += [sentence for log in logs for sentence in log.told()]
    number: dict[str, int] = {}
    renamed = [np.array([number.setdefault(q, len(number)) for q in log.queries], np.int32)[log.query] for log in logs]
    query, item = np.concatenate(renamed), np.concatenate([log.item for log in logs])
    order = np.lexsort((item, query))
    weight = np.concatenate([log.weight for log in logs])
    return Log(tuple(number), query[order], item[order], weight[order])
