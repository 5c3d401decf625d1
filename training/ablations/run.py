"""One run of the ablations: train by a recipe, then measure on the test. torchrun may start several of it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from encoders.models.late_fusion import Backbones
from encoders.models.load import CHECKPOINT
from encoders.towers.single_stream import ItemInput, SingleStream, read
from evaluation.judgements import Judgements, read_judgements
from evaluation.metrics import mark, recall
from evaluation.ranking import by_vectors, rank
from training.data.batch import View
from training.data.corpus import Corpus, corpus
from training.data.features import FeatureStates, text_states
from training.data.sources import sources
from training.data.splits import TEST, SplitPolicy, parts_of
from training.distributed import Distributed
from training.grad_cache import by_length
from training.metrics_log import MetricsLog
from training.recipe import load
from training.trainer import TrainingRun, train

Vectors = NDArray[np.float32]
_BATCH = 256


def figures(
    towers: SingleStream, found: Corpus, rows: NDArray[np.int64], asked: FeatureStates, judged: Judgements
) -> dict[str, float]:
    """recall@10 on the test's products, `rows`: of plain queries by the whole product and by its photo, and of
    visible-only queries. Queries of more than ten right products are asked for ten at most, as in validation.
    """
    texts = {text: i for i, text in enumerate(judged.queries)}
    with torch.inference_mode():
        queries = _vectors(towers, len(asked), asked.text)
        whole = _vectors(towers, len(rows), lambda some: _item(found, rows[some]))
        photo = _vectors(towers, len(rows), lambda some: _item(found, rows[some]).without_title())
    out = {}
    for name, items, group in (
        ("whole", whole, "plain"), ("photo alone", photo, "plain"), ("visible only", whole, "visible_only")
    ):  # fmt: skip
        scores = by_vectors(lambda some: queries[[texts[text] for text in some]], items)
        marks = mark(rank(scores, judged.queries, k=10, left_out=judged.left_out), judged)
        values = recall(marks, 10) * marks.right / np.minimum(marks.right, 10)
        out[name] = round(float(values[judged.groups[group]].mean()), 5)
    return out


def _vectors(towers: SingleStream, count: int, view: Callable[[NDArray[np.int64]], View]) -> Vectors:
    starts = range(0, count, _BATCH)
    parts = [by_length(towers, view(np.arange(start, min(start + _BATCH, count)))).vector for start in starts]
    return torch.cat(parts).float().numpy()


def _item(found: Corpus, rows: NDArray[np.int64]) -> ItemInput:
    photos = torch.from_numpy(found.photos[rows]).float()[:, None]
    return ItemInput(
        found.titles.text(rows, found.has_title[rows]), photos, torch.from_numpy(found.has_photo[rows])[:, None]
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m training.ablations.run", description=__doc__)
    parser.add_argument("catalogue", type=Path)
    parser.add_argument("log", type=Path, help="a folder that training.synthetic has written")
    parser.add_argument("out", type=Path)
    parser.add_argument("--set", dest="changes", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args(arguments)
    own = [f"data.catalogues={options.catalogue}", f"data.logs={options.log}/synthetic-log-*.parquet"]
    recipe = load("ablation", [*own, *options.changes])
    world = Distributed.join(torch.device("cpu"))
    backbones, cache = Backbones(torch.device("cpu")), options.log.parent / "features"
    read_in = sources(recipe.data, [])
    with world.first():
        found = corpus(read_in, recipe, backbones, cache=cache, told=_silent)
    told = MetricsLog(options.out, _silent, resume=False) if world.rank == 0 else _silent
    train(found, recipe, backbones, TrainingRun(options.out, world=world), told)
    if world.rank == 0:
        examples = read_in[0].examples
        policy = SplitPolicy(recipe.data.validation, recipe.data.test, recipe.data.split_seed)
        rows = np.flatnonzero(parts_of(examples, policy) == TEST)
        judged = read_judgements(
            options.log / "synthetic-test.qrels", [examples[row].id for row in rows.tolist()],
            texts=options.log / "synthetic-test.queries.jsonl",
        )  # fmt: skip
        asked = text_states(judged.queries, backbones, cache=cache, layers=6 - recipe.towers.text_layers, told=_silent)
        said = figures(read(options.out / CHECKPOINT), found, rows, asked, judged)
        (options.out / "figures.json").write_text(json.dumps(said), encoding="utf-8")


def _silent(*_: object) -> None:
    return None


if __name__ == "__main__":
    main()
