"""One run of the ablations: train by a recipe, then measure on the test. torchrun may start several processes."""

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
from encoders.towers.backbones import TEXT_LAYERS
from encoders.towers.single_stream import ItemInput, SingleStream, read
from evaluation.judgements import Judgements, read_judgements
from evaluation.metrics import gains_of, recall
from evaluation.ranking import by_vectors, rank
from training.data.batch import View
from training.data.corpus import Corpus, build_corpus
from training.data.features import FeatureStates, text_states
from training.data.sources import read_sources
from training.data.splits import TEST, SplitPolicy, parts_of
from training.distributed import Distributed
from training.grad_cache import forward_by_length
from training.metrics_log import MetricsLog
from training.recipe import load
from training.trainer import Trainer, TrainingRun

Vectors = NDArray[np.float32]
_BATCH = 256


def figures(
    towers: SingleStream, corpus: Corpus, rows: NDArray[np.int64], queries: FeatureStates, judged: Judgements
) -> dict[str, float]:
    """recall@10 on the test's products, `rows`: of plain queries by product and by photo, and of visible-only queries.

    As in validation, a query with more than ten relevant products counts as having ten.
    """
    row_of_text = {text: i for i, text in enumerate(judged.queries)}
    with torch.inference_mode():
        query_vectors = _vectors(towers, len(queries), queries.text)
        whole = _vectors(towers, len(rows), lambda batch: _item(corpus, rows[batch]))
        photo = _vectors(towers, len(rows), lambda batch: _item(corpus, rows[batch]).without_title())
    result = {}
    for name, items, group in (
        ("whole", whole, "plain"), ("photo alone", photo, "plain"), ("visible only", whole, "visible_only")
    ):  # fmt: skip
        scores = by_vectors(lambda texts: query_vectors[[row_of_text[text] for text in texts]], items)
        gains = gains_of(rank(scores, judged.queries, k=10, left_out=judged.left_out), judged)
        values = recall(gains, 10) * gains.relevant / np.minimum(gains.relevant, 10)
        result[name] = round(float(values[judged.groups[group]].mean()), 5)
    return result


def _vectors(towers: SingleStream, count: int, view: Callable[[NDArray[np.int64]], View]) -> Vectors:
    starts = range(0, count, _BATCH)
    vectors = [forward_by_length(towers, view(np.arange(start, min(start + _BATCH, count)))).vector for start in starts]
    return torch.cat(vectors).float().numpy()


def _item(corpus: Corpus, rows: NDArray[np.int64]) -> ItemInput:
    photos = torch.from_numpy(corpus.photos[rows]).float()[:, None]
    return ItemInput(
        corpus.titles.text(rows, corpus.has_title[rows]), photos, torch.from_numpy(corpus.has_photo[rows])[:, None]
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m training.ablations.run", description=__doc__)
    parser.add_argument("catalogue", type=Path)
    parser.add_argument("log", type=Path, help="a folder written by `python -m training.synthetic`")
    parser.add_argument("out", type=Path)
    parser.add_argument("--set", dest="changes", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args(arguments)
    data = [f"data.catalogues={options.catalogue}", f"data.logs={options.log}/synthetic-log-*.parquet"]
    recipe = load("ablation", [*data, *options.changes])
    distributed = Distributed.join(torch.device("cpu"))
    backbones, cache = Backbones(torch.device("cpu")), options.log.parent / "features"
    sources = read_sources(recipe.data, [])
    with distributed.first_process_first():
        corpus = build_corpus(sources, recipe, backbones, cache=cache, on_progress=_ignore)
    on_metrics = MetricsLog(options.out, _ignore, resume=False) if distributed.rank == 0 else _ignore
    Trainer(corpus, recipe, backbones, TrainingRun(options.out, distributed=distributed), on_metrics).train()
    if distributed.rank == 0:
        examples = sources[0].examples
        policy = SplitPolicy(recipe.data.validation, recipe.data.test, recipe.data.split_seed)
        rows = np.flatnonzero(parts_of(examples, policy) == TEST)
        judged = read_judgements(
            options.log / "synthetic-test.qrels", [examples[row].id for row in rows.tolist()],
            texts=options.log / "synthetic-test.queries.jsonl",
        )  # fmt: skip
        layers = TEXT_LAYERS - recipe.towers.text_layers
        queries = text_states(judged.queries, backbones, cache=cache, layers=layers, on_progress=_ignore)
        result = figures(read(options.out / CHECKPOINT), corpus, rows, queries, judged)
        (options.out / "figures.json").write_text(json.dumps(result), encoding="utf-8")


def _ignore(*_: object) -> None:
    return None


if __name__ == "__main__":
    main()
