"""Reads and splits the catalogues and logs that a recipe names."""

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

_PROBE_SIDE = 64
"""Pixels a side at which each photo is decoded to check it: a small JPEG decodes fast."""


def read_sources(data: DataConfig, notes: list[str]) -> list[CorpusSource]:
    """Each catalogue with its log. Adds sentences about what was read and skipped to `notes`. Raises InvalidInput."""
    if not data.catalogues or len(data.catalogues) != len(data.logs):
        raise InvalidInput(
            "The recipe names no catalogue, or not one log for each: "
            "set data.catalogues and data.logs, as in --set data.catalogues=shop.jsonl --set data.logs=log.csv."
        )
    columns = columns_of(data.columns)
    return [
        _source(Path(catalogue), Path(log), data, columns, notes)
        for catalogue, log in zip(data.catalogues, data.logs, strict=True)
    ]


def columns_of(options: Sequence[str]) -> dict[str, str]:
    """The log's columns by field, from FIELD=COLUMN options. Raises InvalidInput."""
    pairs = [option.partition("=") for option in options]
    for field, _, column in pairs:
        if field not in NAMES or not column:
            raise InvalidInput(
                f"{field}={column} names no column: give FIELD=COLUMN, with a FIELD of {', '.join(NAMES)}."
            )
    return {field: column for field, _, column in pairs}


def _source(
    catalogue: Path, log_path: Path, data: DataConfig, columns: Mapping[str, str], notes: list[str]
) -> CorpusSource:
    examples = [_with_valid_photo(example) for example in read(catalogue)]
    notes += _photo_notes(catalogue, examples)
    log = _log(log_path, [example.id for example in examples], columns, notes)
    policy = SplitPolicy(validation=data.validation, test=data.test, seed=data.split_seed)
    parts = parts_of(examples, policy)
    split = split_log(log, parts, seed=data.split_seed)
    train, validation, test = split.parts
    if split.crossing:
        notes.append(f"{split.crossing} interactions are left out: their query belongs to another part of the split.")
    if not len(train.query):
        raise InvalidInput(f"{log_path} leaves nothing to train on: it needs queries for more products of {catalogue}.")
    notes.append(
        f"{len(train.query)} interactions to train on, {len(validation.query)} to validate and {len(test.query)} to "
        "test on."
    )
    return CorpusSource(
        examples, train, validation, test, *(np.flatnonzero(parts == part) for part in range(len(PARTS)))
    )


def _with_valid_photo(example: Example) -> Example:
    """The product, without its photo if that cannot be decoded."""
    if not example.photo:
        return example
    try:
        decode(example.photo, ImagePolicy(), target=_PROBE_SIDE)
    except ImageProblem as problem:
        return replace(example, photo=b"", pixels="", unread=str(problem))
    return example


def _photo_notes(catalogue: Path, examples: Sequence[Example]) -> list[str]:
    """Sentences: the number of products, and why photos are missing."""
    photos = sum(bool(example.photo) for example in examples)
    counts = Counter(example.unread for example in examples if example.unread)
    first = {example.unread: example.id for example in reversed(examples)}
    return [f"{catalogue}: {len(examples)} products, {photos} of them with a photo."] + [
        f"{count} are trained on without the photo they name: {reason}; first {first[reason]!r}."
        for reason, count in counts.most_common()
    ]


def _log(source: Path, ids: Sequence[str], columns: Mapping[str, str], notes: list[str]) -> ClickLog:
    """The log of a file, or of all files that match a pattern. Raises InvalidInput."""
    files = sorted(source.parent.glob(source.name)) if "*" in source.name else [source]
    if not files:
        raise InvalidInput(f"There is no log at {source}: name a parquet, JSONL or CSV file.")
    logs = [read_click_log(file, ids, columns) for file in files]
    notes += [sentence for log in logs for sentence in log.sentences()]
    numbers: dict[str, int] = {}
    renumbered = [
        np.array([numbers.setdefault(text, len(numbers)) for text in log.queries], np.int32)[log.query] for log in logs
    ]
    query, item = np.concatenate(renumbered), np.concatenate([log.item for log in logs])
    order = np.lexsort((item, query))
    weight = np.concatenate([log.weight for log in logs])
    return ClickLog(tuple(numbers), query[order], item[order], weight[order])
