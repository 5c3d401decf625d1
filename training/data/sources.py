"""The catalogues and logs that a recipe names, read and split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from catalog.errors import ImageProblem, InvalidInput
from encoders.images import ImagePolicy, decode
from training.data.corpus import CorpusSource
from training.data.products import Example, read
from training.data.query_log import NAMES, ClickLog, read_click_log
from training.data.splits import PARTS, SplitPolicy, parts_of, split_log
from training.recipe import DataConfig

_GLANCE = 64
"""Pixels a side at which a photo is looked at to see whether it can be: a JPEG is quick to decode so small."""


def sources(data: DataConfig, said: list[str]) -> list[CorpusSource]:
    """Each catalogue with its log. What was read and what was passed over is added to `said`. Raises InvalidInput."""
    if not data.catalogues or len(data.catalogues) != len(data.logs):
        raise InvalidInput(
            "The recipe names no catalogue, or not one log for each: "
            "set data.catalogues and data.logs, as in --set data.catalogues=shop.jsonl --set data.logs=log.csv."
        )
    columns = columns_of(data.columns)
    return [
        _source(Path(catalogue), Path(log), data, columns, said)
        for catalogue, log in zip(data.catalogues, data.logs, strict=True)
    ]


def columns_of(given: Sequence[str]) -> dict[str, str]:
    """FIELD=COLUMN, each, as names of the log's columns. Raises InvalidInput."""
    pairs = [one.partition("=") for one in given]
    for field, _, column in pairs:
        if field not in NAMES or not column:
            raise InvalidInput(
                f"{field}={column} names no column: give FIELD=COLUMN, with a FIELD of {', '.join(NAMES)}."
            )
    return {field: column for field, _, column in pairs}


def _source(catalogue: Path, log: Path, data: DataConfig, columns: Mapping[str, str], said: list[str]) -> CorpusSource:
    examples = [_seen(example) for example in read(catalogue)]
    said += _told(catalogue, examples)
    found = _log(log, [example.id for example in examples], columns, said)
    policy = SplitPolicy(validation=data.validation, test=data.test, seed=data.split_seed)
    parts = parts_of(examples, policy)
    split = split_log(found, parts, seed=data.split_seed)
    train, validation, test = split.parts
    if split.crossing:
        said.append(f"{split.crossing} interactions are left out: their query belongs to another part of the split.")
    if not len(train.query):
        raise InvalidInput(f"{log} leaves nothing to train on: it needs queries for more products of {catalogue}.")
    said.append(
        f"{len(train.query)} interactions to train on, {len(validation.query)} to validate and {len(test.query)} to "
        "test on."
    )
    taught, shelf, tested = (np.flatnonzero(parts == part) for part in range(len(PARTS)))
    return CorpusSource(examples, train, validation, test, taught=taught, shelf=shelf, tested=tested)


def _seen(example: Example) -> Example:
    """The product, without its photo where that is none."""
    if not example.photo:
        return example
    try:
        decode(example.photo, ImagePolicy(), target=_GLANCE)
    except ImageProblem as problem:
        return replace(example, photo=b"", pixels="", unread=str(problem))
    return example


def _told(catalogue: Path, examples: Sequence[Example]) -> list[str]:
    """How many products there are, and why some have no photo."""
    photos = sum(bool(example.photo) for example in examples)
    counts = Counter(example.unread for example in examples if example.unread)
    first = {example.unread: example.id for example in reversed(examples)}
    return [f"{catalogue}: {len(examples)} products, {photos} of them with a photo."] + [
        f"{count} are learnt without the photo they name: {reason}; first {first[reason]!r}."
        for reason, count in counts.most_common()
    ]


def _log(source: Path, ids: Sequence[str], columns: Mapping[str, str], said: list[str]) -> ClickLog:
    """The log in that file, or in the files of that pattern. Raises InvalidInput."""
    files = sorted(source.parent.glob(source.name)) if "*" in source.name else [source]
    if not files:
        raise InvalidInput(f"There is no log at {source}: name a parquet, JSONL or CSV file.")
    logs = [read_click_log(file, ids, columns) for file in files]
    said += [sentence for log in logs for sentence in log.told()]
    number: dict[str, int] = {}
    renamed = [np.array([number.setdefault(q, len(number)) for q in log.queries], np.int32)[log.query] for log in logs]
    query, item = np.concatenate(renamed), np.concatenate([log.item for log in logs])
    order = np.lexsort((item, query))
    weight = np.concatenate([log.weight for log in logs])
    return ClickLog(tuple(number), query[order], item[order], weight[order])
