"""Collections and aliases: opens, creates and drops them, and keeps their data in a folder.

The folder contains engine.json (names, configurations, aliases; replaced atomically at every change) and, under
collections/, one numbered folder for each collection with the engine's files. A numbered folder that engine.json does
not name remains from a crash, and is removed at the next start.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import qdrant_edge as edge
from google.protobuf import json_format
from qdrant_client import grpc as pb

from embedded.engine.atomic_files import sync_folder, write_json
from embedded.engine.cache.hit_bytes import HitBytesCache
from embedded.engine.cache.points import PointCache
from embedded.engine.codec import collection_config as configs
from embedded.engine.codec.points import Dimensions
from embedded.engine.codec.status import check_name, exists, invalid, missing, variant
from embedded.errors import EmbeddedError

_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Collection:
    """One open collection. `number` names its folder; `optimized` is true if some points are in read-only segments."""

    name: str
    number: int
    config: pb.CollectionConfig
    shard: edge.EdgeShard
    optimized: bool = False
    dimensions: Dimensions = field(init=False)
    hit_cache: HitBytesCache = field(init=False, default_factory=HitBytesCache)
    point_cache: PointCache = field(init=False)

    def __post_init__(self) -> None:
        dimensions = configs.dimensions(self.config)
        object.__setattr__(self, "dimensions", dimensions)
        dense = {name: dim for name, dim in dimensions.items() if dim is not None}
        object.__setattr__(self, "point_cache", PointCache(dense))


class Store:
    """All collections and aliases. One thread at a time may change them; any thread may read them."""

    def __init__(self, folder: Path, *, optimize: bool = False) -> None:
        """Open the collections in the folder. Raises EmbeddedError if one cannot be read.

        With `optimize` it also builds the HNSW graphs of large collections, which may take minutes.
        """
        self._file = folder / "engine.json"
        self._data = folder / "collections"
        self._data.mkdir(parents=True, exist_ok=True)
        self._collections: dict[str, Collection] = {}
        self._aliases: dict[str, str] = {}
        self._next = 1
        if self._file.exists():
            self._open(json.loads(self._file.read_text(encoding="utf-8")), optimize)
        folders = {str(collection.number) for collection in self._collections.values()}
        for folder in self._data.iterdir():
            if folder.name not in folders:
                shutil.rmtree(folder)

    def _open(self, content: dict[str, Any], optimize: bool) -> None:
        if content["format"] != _FORMAT:
            raise EmbeddedError(
                f"{self._file} is of format {content['format']} and this engine reads {_FORMAT}: "
                "use the version of liveshelf that wrote it, or name another data folder."
            )
        self._next = content["next"]
        self._aliases = content["aliases"]
        for name, entry in content["collections"].items():
            config = json_format.ParseDict(entry["config"], pb.CollectionConfig())
            folder = self._data / str(entry["number"])
            try:
                shard = edge.EdgeShard.load(str(folder))
            except Exception as error:
                raise EmbeddedError(
                    f"collection {name!r} cannot be opened from {folder} ({error}): restore the data folder, "
                    "or name another and index again."
                ) from error
            if optimize:
                shard.optimize()
            # There is always exactly one writable segment; any other is an optimized one.
            optimized = shard.info().segments_count > 1
            self._collections[name] = Collection(name, entry["number"], config, shard, optimized)

    def _commit(self, collections: dict[str, Collection], aliases: dict[str, str]) -> None:
        """Replace the collections and aliases, on disk first, so that no later write depends on a lost change."""
        entries = {
            name: {"number": collection.number, "config": json_format.MessageToDict(collection.config)}
            for name, collection in collections.items()
        }
        content = {"format": _FORMAT, "next": self._next, "aliases": aliases, "collections": entries}
        write_json(self._file, content)
        self._collections, self._aliases = collections, aliases

    def names(self) -> list[str]:
        return sorted(self._collections)

    def aliases(self) -> dict[str, str]:
        """Alias to collection name."""
        return dict(self._aliases)

    def find(self, name: str) -> Collection | None:
        """The collection of that name or alias, None if it does not exist."""
        return self._collections.get(self._aliases.get(name, name))

    def get(self, name: str) -> Collection:
        """The collection of that name or alias. Raises StatusError if it does not exist."""
        collection = self.find(name)
        if collection is None:
            raise missing(f"Collection `{name}` doesn't exist!")
        return collection

    def create(self, name: str, config: pb.CollectionConfig) -> None:
        """Create an empty collection."""
        check_name(name)
        if name in self._collections:
            raise exists(f"Collection `{name}` already exists!")
        if name in self._aliases:
            raise invalid(f"Can't create collection with name {name}. Alias with the same name already exists")
        settings = configs.to_edge(config)
        number, self._next = self._next, self._next + 1
        shard = edge.EdgeShard.create(str(self._data / str(number)), settings)
        shard.flush()
        sync_folder(self._data)
        self._commit({**self._collections, name: Collection(name, number, config, shard)}, self._aliases)

    def drop(self, name: str) -> bool:
        """Remove a collection, its data and its aliases. False if no collection has that name."""
        dropped = self._collections.get(name)
        if dropped is None:
            return False
        others = {other: collection for other, collection in self._collections.items() if other != name}
        self._commit(others, {alias: target for alias, target in self._aliases.items() if target != name})
        dropped.shard.close()
        # Files that cannot be removed now are removed at the next start.
        shutil.rmtree(self._data / str(dropped.number), ignore_errors=True)
        return True

    def change_aliases(self, actions: Iterable[pb.AliasOperations]) -> None:
        """Apply all actions atomically, or none of them."""
        aliases = dict(self._aliases)
        for action in actions:
            match variant(action, "action"):
                case "create_alias":
                    self._point(aliases, action.create_alias.alias_name, action.create_alias.collection_name)
                case "rename_alias":
                    old = action.rename_alias.old_alias_name
                    if old not in aliases:
                        raise missing(f"Alias {old} does not exist!")
                    self._point(aliases, action.rename_alias.new_alias_name, aliases.pop(old))
                case _:
                    aliases.pop(action.delete_alias.alias_name, None)  # a server accepts a missing alias too
        self._commit(self._collections, aliases)

    def _point(self, aliases: dict[str, str], alias: str, target: str) -> None:
        if target not in self._collections:
            raise missing(f"Collection `{target}` doesn't exist!")
        check_name(alias)
        if alias in self._collections:
            raise exists(f"Collection `{alias}` already exists!")
        aliases[alias] = target

    def flush(self) -> None:
        """Write memory to the collections' files, so that the next start replays less."""
        for collection in list(self._collections.values()):
            collection.shard.flush()

    def close(self) -> None:
        """Flush and close every collection."""
        while self._collections:
            _, collection = self._collections.popitem()
            collection.shard.flush()
            collection.shard.close()
