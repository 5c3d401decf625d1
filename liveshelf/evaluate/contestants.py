"""A catalogue, and models by name, as what `liveshelf evaluate` ranks with."""

from __future__ import annotations

import asyncio
import base64
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from catalog.domain.product import Content
from catalog.domain.space import FUSED, IMAGE, Space
from catalog.errors import ImageProblem, InvalidInput
from catalog.query.validate import QueryPolicy
from encoders import EncoderService, Model
from encoders.images import ImageFetcher, ImagePolicy, decode
from encoders.offline import query_vectors
from evaluation.bm25 import bm25
from evaluation.hybrid_scores import hybrid
from evaluation.index_recall import exact_recall
from evaluation.intervals import Estimate, bootstrap
from evaluation.ranking import Scores, by_vectors
from indexer import QdrantReader, collection_name, connect
from liveshelf.progress import bar
from liveshelf.settings import Settings, secret
from liveshelf.wiring.encoder import collection_policy_of, encode_policy_of, graph_policy_of, image_policy_of, model_of
from streams.publish.catalogue_files import BadRow, Catalogue

BM25 = "bm25"
TITLE, PHOTO, HYBRID = "title:", "photo:", "hybrid:"
THUMBNAIL = 112
_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class ProductTable:
    """The products of a catalogue, each id once, and the rows that are none."""

    ids: tuple[str, ...]
    contents: tuple[Content, ...]
    bad: tuple[BadRow, ...] = ()

    @property
    def titles(self) -> tuple[str, ...]:
        return tuple(content.title for content in self.contents)


def products_of(path: Path, only: Path | None = None) -> ProductTable:
    """What `liveshelf backfill` reads, the later of two rows with one id; with `only`, the ids that file lists.

    Raises InvalidInput where nothing is left.
    """
    wanted = _listed(only) if only else None
    found: dict[str, Content] = {}
    bad = []
    for row in Catalogue(path, version=0):
        if isinstance(row, BadRow):
            bad.append(row)
        elif row.event.get("op") == "put" and (wanted is None or str(row.event["id"]) in wanted):
            images = row.event.get("images")
            urls = tuple(url for url in images if isinstance(url, str)) if isinstance(images, list) else ()
            found[str(row.event["id"])] = Content(str(row.event.get("title") or ""), urls)
    if not found:
        raise InvalidInput(f"No product of {path} is left to search among{f': check {only}' if only else ''}.")
    return ProductTable(tuple(found), tuple(found.values()), tuple(bad))


def _listed(file: Path) -> frozenset[str]:
    try:
        return frozenset(line.strip() for line in file.read_text("utf-8-sig").splitlines() if line.strip())
    except UnicodeDecodeError:
        raise InvalidInput(f"{file} is not UTF-8: save it as UTF-8.") from None


@dataclass(frozen=True, slots=True)
class EncodedCatalogue:
    """A model and what it made of the products: float32 (products, dim) by name, NaN where it made nothing.

    `asked` has the queries that it encoded, each once however many ways the products are searched.
    """

    model: Model
    vectors: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    asked: dict[str, NDArray[np.float32]] = field(default_factory=dict)

    def queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """The vectors of queries (texts, dim)."""
        if fresh := [text for text in dict.fromkeys(texts) if text not in self.asked]:
            self.asked.update(zip(fresh, query_vectors(self.model, fresh), strict=True))
        return np.stack([self.asked[text] for text in texts])


class Contestants:
    """Scores of the products by a model's name; a model is loaded once, and encodes the products once.

    `bm25` is over titles, `hybrid:MODEL` fuses it with a model as a search does; `title:MODEL` and `photo:MODEL` encode
    nothing else of a product, MODEL all of it.
    """

    def __init__(self, settings: Settings, products: ProductTable, folder: Path) -> None:
        """`folder` is where the catalogue lies: photos below it may be read."""
        roots = (*settings.image_file_roots, folder.resolve())
        self._settings = settings.model_copy(update={"image_file_roots": roots})
        self._products = products
        self._loaded: dict[str, EncodedCatalogue] = {}

    def scores(self, name: str) -> Scores:
        """Raises InvalidInput where there is no such model."""
        if name == BM25:
            return bm25(self._products.titles)
        if name.startswith(HYBRID):
            policy = QueryPolicy()
            dense = self.scores(name.removeprefix(HYBRID))
            return hybrid(dense, self.scores(BM25), fusion=policy.fusion, pool=policy.windows[0])
        prefix = _prefix(name)
        loaded = self._load(name)
        if prefix == TITLE and TITLE not in loaded.vectors:
            bare = [Content(title) for title in self._products.titles]
            loaded.vectors[TITLE] = self._encode(loaded.model, bare, f"titles by {name}")[FUSED]
        if prefix != TITLE:
            self.encoded(name.removeprefix(prefix))
        items = loaded.vectors[{TITLE: TITLE, PHOTO: IMAGE, "": FUSED}[prefix]]
        return by_vectors(loaded.queries, items)

    def encoded(self, name: str) -> EncodedCatalogue:
        """The model of that name with the products' vectors, by the names that its space has. Raises InvalidInput."""
        loaded = self._load(name)
        if FUSED not in loaded.vectors:
            loaded.vectors.update(self._encode(loaded.model, self._products.contents, f"products by {name}"))
        return loaded

    def model(self, name: str) -> Model:
        """The model of that name, whatever of a product it is to encode. Raises InvalidInput where there is none."""
        if name == BM25 or name.startswith(HYBRID):
            raise InvalidInput(f"{name} has no vectors to search the live collection with: name another --model.")
        return self._load(name).model

    def _load(self, name: str) -> EncodedCatalogue:
        name = name.removeprefix(_prefix(name))
        if name not in self._loaded:
            model = model_of(self._settings, name)
            self._loaded[name] = EncodedCatalogue(model)
        return self._loaded[name]

    def pictures(self, rows: Sequence[int]) -> dict[int, str]:
        """A small picture of each product that has one, as a data: URL."""
        return asyncio.run(_pictures(image_policy_of(self._settings), self._products, rows))

    def _encode(self, model: Model, contents: Sequence[Content], label: str) -> dict[str, NDArray[np.float32]]:
        with bar(label, len(contents)) as done:
            return vectors_of(self._settings, model, contents, done)


def vectors_of(
    settings: Settings, model: Model, contents: Sequence[Content], done: Callable[[int], None] = lambda done: None
) -> dict[str, NDArray[np.float32]]:
    """What the model makes of products, float32 (products, dim) by name, NaN for nothing; `done` is told how many."""
    return asyncio.run(_encoded(settings, model, contents, done))


def _prefix(name: str) -> str:
    return next((prefix for prefix in (TITLE, PHOTO) if name.startswith(prefix)), "")


def live_recall(settings: Settings, model: Model, queries: Sequence[str], k: int) -> Estimate:
    """Of the first k that an exact search of the live collection finds, the share that an ordinary one does.

    Raises Unavailable where the index does not answer, InvalidInput for a model of another space than the collection's.
    """
    return asyncio.run(_live_recall(settings, model, query_vectors(model, queries), k))


async def _live_recall(settings: Settings, model: Model, vectors: NDArray[np.float32], k: int) -> Estimate:
    timeout = settings.qdrant_timeout_seconds
    client = connect(settings.qdrant_url, api_key=secret(settings.qdrant_api_key), timeout_s=timeout)
    try:
        name = collection_name(collection_policy_of(settings), model.space)
        shelf = QdrantReader(
            client, collection=name, space=model.space, timeout_s=timeout, policy=graph_policy_of(settings)
        )
        return bootstrap(await exact_recall(shelf, vectors, using=FUSED, k=k))
    finally:
        await client.close()


async def _encoded(
    settings: Settings, model: Model, contents: Sequence[Content], done: Callable[[int], None]
) -> dict[str, NDArray[np.float32]]:
    space: Space = model.space
    found = {name: np.full((len(contents), dim), np.nan, np.float32) for name, dim in space.vectors.items()}
    async with (
        ImageFetcher(image_policy_of(settings)) as images,
        EncoderService(model, images, encode_policy_of(settings)) as service,
    ):
        for start in range(0, len(contents), _AT_ONCE):
            some = contents[start : start + _AT_ONCE]
            for row, encoded in enumerate(await service.encode(await service.prepare(some)), start=start):
                for name, vector in (encoded.vectors if encoded else {}).items():
                    found[name][row] = vector
            done(start + len(some))
    return found


async def _pictures(policy: ImagePolicy, products: ProductTable, rows: Sequence[int]) -> dict[int, str]:
    async with ImageFetcher(policy) as images:
        made = await asyncio.gather(*(_picture(images, policy, products.contents[row]) for row in rows))
    return {row: url for row, url in zip(rows, made, strict=True) if url}


async def _picture(images: ImageFetcher, policy: ImagePolicy, content: Content) -> str:
    for url in content.images:
        try:
            photo = decode(await images.fetch(url), policy, target=THUMBNAIL)
        except ImageProblem:
            continue
        photo.thumbnail((THUMBNAIL, THUMBNAIL))
        out = io.BytesIO()
        photo.save(out, "JPEG", quality=80)
        return f"data:image/jpeg;base64,{base64.b64encode(out.getvalue()).decode()}"
    return ""
