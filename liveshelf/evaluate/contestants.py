"""The catalogue and the models that `liveshelf evaluate ranking` compares, by name."""

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
_BATCH = 256


@dataclass(frozen=True, slots=True)
class ProductTable:
    """The products of a catalogue, each id once, and its bad rows."""

    ids: tuple[str, ...]
    contents: tuple[Content, ...]
    bad: tuple[BadRow, ...] = ()

    @property
    def titles(self) -> tuple[str, ...]:
        return tuple(content.title for content in self.contents)


def products_of(path: Path, only: Path | None = None) -> ProductTable:
    """Read a catalogue as `liveshelf backfill` does; of two rows with one id the later counts.

    `only` is a file of ids to keep. Raises InvalidInput if no product remains.
    """
    selected = _listed(only) if only else None
    contents: dict[str, Content] = {}
    bad = []
    for row in Catalogue(path, version=0):
        if isinstance(row, BadRow):
            bad.append(row)
        elif row.event.get("op") == "put" and (selected is None or str(row.event["id"]) in selected):
            images = row.event.get("images")
            urls = tuple(url for url in images if isinstance(url, str)) if isinstance(images, list) else ()
            contents[str(row.event["id"])] = Content(str(row.event.get("title") or ""), urls)
    if not contents:
        raise InvalidInput(f"No product of {path} remains to search{f': check {only}' if only else ''}.")
    return ProductTable(tuple(contents), tuple(contents.values()), tuple(bad))


def _listed(file: Path) -> frozenset[str]:
    try:
        return frozenset(line.strip() for line in file.read_text("utf-8-sig").splitlines() if line.strip())
    except UnicodeDecodeError:
        raise InvalidInput(f"{file} is not UTF-8: save it as UTF-8.") from None


@dataclass(frozen=True, slots=True)
class EncodedCatalogue:
    """A model and its vectors of the products: float32 (products, dim) by name, NaN for a missing vector.

    `query_cache` holds the vectors of encoded queries, so that each is encoded once.
    """

    model: Model
    vectors: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    query_cache: dict[str, NDArray[np.float32]] = field(default_factory=dict)

    def queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """The vectors of queries (texts, dim)."""
        if new := [text for text in dict.fromkeys(texts) if text not in self.query_cache]:
            self.query_cache.update(zip(new, query_vectors(self.model, new), strict=True))
        return np.stack([self.query_cache[text] for text in texts])


class Contestants:
    """Scores of the products by a model's name. Each model is loaded once, and encodes the products once.

    - `bm25` ranks by titles, and `hybrid:MODEL` fuses that with a model as a search does.
    - MODEL encodes whole products, `title:MODEL` only their titles, and `photo:MODEL` only their photos.
    """

    def __init__(self, settings: Settings, products: ProductTable, folder: Path) -> None:
        """`folder` is the catalogue's folder. Photos below it may be read."""
        roots = (*settings.image_file_roots, folder.resolve())
        self._settings = settings.model_copy(update={"image_file_roots": roots})
        self._products = products
        self._loaded: dict[str, EncodedCatalogue] = {}

    def scores(self, name: str) -> Scores:
        """Raises InvalidInput if there is no such model."""
        if name == BM25:
            return bm25(self._products.titles)
        if name.startswith(HYBRID):
            policy = QueryPolicy()
            dense = self.scores(name.removeprefix(HYBRID))
            return hybrid(dense, self.scores(BM25), fusion=policy.fusion, pool=policy.windows[0])
        prefix = _prefix(name)
        loaded = self._load(name)
        if prefix == TITLE and TITLE not in loaded.vectors:
            titles = [Content(title) for title in self._products.titles]
            loaded.vectors[TITLE] = self._encode(loaded.model, titles, f"titles by {name}")[FUSED]
        if prefix != TITLE:
            self.encoded(name.removeprefix(prefix))
        items = loaded.vectors[{TITLE: TITLE, PHOTO: IMAGE, "": FUSED}[prefix]]
        return by_vectors(loaded.queries, items)

    def encoded(self, name: str) -> EncodedCatalogue:
        """The model with the products' vectors by the names of its space. Raises InvalidInput."""
        loaded = self._load(name)
        if FUSED not in loaded.vectors:
            loaded.vectors.update(self._encode(loaded.model, self._products.contents, f"products by {name}"))
        return loaded

    def model(self, name: str) -> Model:
        """The model of a name with or without a prefix. Raises InvalidInput if there is none."""
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
        """A thumbnail of each product with a photo, as a data: URL."""
        return asyncio.run(_pictures(image_policy_of(self._settings), self._products, rows))

    def _encode(self, model: Model, contents: Sequence[Content], label: str) -> dict[str, NDArray[np.float32]]:
        with bar(label, len(contents)) as done:
            return vectors_of(self._settings, model, contents, done)


def vectors_of(
    settings: Settings, model: Model, contents: Sequence[Content], done: Callable[[int], None] = lambda done: None
) -> dict[str, NDArray[np.float32]]:
    """The model's vectors of products, float32 (products, dim) by name, NaN for a missing one.

    `done` receives the number of encoded products.
    """
    return asyncio.run(_encoded(settings, model, contents, done))


def _prefix(name: str) -> str:
    return next((prefix for prefix in (TITLE, PHOTO) if name.startswith(prefix)), "")


def live_recall(settings: Settings, model: Model, queries: Sequence[str], k: int) -> Estimate:
    """The share of the first k of an exact search of the live collection that an approximate search finds too.

    Raises Unavailable if the index does not answer, InvalidInput if the model's space is not the collection's.
    """
    return asyncio.run(_live_recall(settings, model, query_vectors(model, queries), k))


async def _live_recall(settings: Settings, model: Model, vectors: NDArray[np.float32], k: int) -> Estimate:
    timeout = settings.qdrant_timeout_seconds
    client = connect(settings.qdrant_url, api_key=secret(settings.qdrant_api_key), timeout_s=timeout)
    try:
        name = collection_name(collection_policy_of(settings), model.space)
        reader = QdrantReader(
            client, collection=name, space=model.space, timeout_s=timeout, policy=graph_policy_of(settings)
        )
        return bootstrap(await exact_recall(reader, vectors, using=FUSED, k=k))
    finally:
        await client.close()


async def _encoded(
    settings: Settings, model: Model, contents: Sequence[Content], done: Callable[[int], None]
) -> dict[str, NDArray[np.float32]]:
    space: Space = model.space
    vectors = {name: np.full((len(contents), dim), np.nan, np.float32) for name, dim in space.vectors.items()}
    async with (
        ImageFetcher(image_policy_of(settings)) as images,
        EncoderService(model, images, encode_policy_of(settings)) as service,
    ):
        for start in range(0, len(contents), _BATCH):
            batch = contents[start : start + _BATCH]
            for row, encoded in enumerate(await service.encode(await service.prepare(batch)), start=start):
                for name, vector in (encoded.vectors if encoded else {}).items():
                    vectors[name][row] = vector
            done(start + len(batch))
    return vectors


async def _pictures(policy: ImagePolicy, products: ProductTable, rows: Sequence[int]) -> dict[int, str]:
    async with ImageFetcher(policy) as images:
        urls = await asyncio.gather(*(_picture(images, policy, products.contents[row]) for row in rows))
    return {row: url for row, url in zip(rows, urls, strict=True) if url}


async def _picture(images: ImageFetcher, policy: ImagePolicy, content: Content) -> str:
    for url in content.images:
        try:
            photo = decode(await images.fetch(url), policy, target=THUMBNAIL)
        except ImageProblem:
            continue
        photo.thumbnail((THUMBNAIL, THUMBNAIL))
        jpeg = io.BytesIO()
        photo.save(jpeg, "JPEG", quality=80)
        return f"data:image/jpeg;base64,{base64.b64encode(jpeg.getvalue()).decode()}"
    return ""
