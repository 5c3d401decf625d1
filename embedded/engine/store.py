"""Collections and aliases: which there are, where their data lies, and how they are opened, made and dropped.

The folder holds engine.json (names, configurations, aliases; replaced whole at every change) and, under collections/,
one numbered folder for each collection with the engine's files. engine.json decides: a numbered folder that it does
not name is what a crash left behind, and is removed at the next start.
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
    """One open collection. `number` names its folder; `optimized` says that some of it lies in read-only segments."""

    name: str
    number: int
    config: pb.CollectionConfig
    shard: edge.EdgeShard
    optimized: bool = False
    dimensions: Dimensions = field(init=False)
    brief: HitBytesCache = field(init=False, default_factory=HitBytesCache)
    kept: PointCache = field(init=False)

    def __post_init__(self) -> None:
        dimensions = configs.dimensions(self.config)
        object.__setattr__(self, "dimensions", dimensions)
        object.__setattr__(self, "kept", PointCache({name: dim for name, dim in dimensions.items() if dim is not None}))


class Store:
    """What the engine holds. Changes must come from one thread at a time; look-ups may come from any."""

    def __init__(self, folder: Path, *, optimize: bool = False) -> None:
        """Open what the folder holds. Raises EmbeddedError where it cannot be read.

        With `optimize` it also builds the graphs that large collections are searched with, which may take minutes.
        """
        self._file = folder / "engine.json"
        self._data = folder / "collections"
        self._data.mkdir(parents=True, exist_ok=True)
        self._collections: dict[str, Collection] = {}
        self._aliases: dict[str, str] = {}
        self._next = 1
        if self._file.exists():
            self._open(json.loads(self._file.read_text(encoding="utf-8")), optimize)
        kept = {str(collection.number) for collection in self._collections.values()}
        for left_behind in self._data.iterdir():
            if left_behind.name not in kept:
                shutil.rmtree(left_behind)

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
            # A segment that is written to is always there, and only ever one: any other is an optimized one.
            optimized = shard.info().segments_count > 1
            self._collections[name] = Collection(name, entry["number"], config, shard, optimized)

    def _commit(self, collections: dict[str, Collection], aliases: dict[str, str]) -> None:
        """Make these the collections and aliases: on disk first, so that nothing is ever built on what is not there."""
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
        """The collection of that name or alias, if there is one."""
        return self._collections.get(self._aliases.get(name, name))

    def get(self, name: str) -> Collection:
        """The collection of that name or alias. Refuses where there is none."""
        found = self.find(name)
        if found is None:
            raise missing(f"Collection `{name}` doesn't exist!")
        return found

    def create(self, name: str, config: pb.CollectionConfig) -> None:
        """Make an empty collection."""
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
        """Remove a collection, its data and its aliases. False where there is none of that name."""
        gone = self._collections.get(name)
        if gone is None:
            return False
        kept = {other: collection for other, collection in self._collections.items() if other != name}
        self._commit(kept, {alias: target for alias, target in self._aliases.items() if target != name})
        gone.shard.close()
        # What cannot be removed now is removed at the next start.
        shutil.rmtree(self._data / str(gone.number), ignore_errors=True)
        return True

    def change_aliases(self, actions: Iterable[pb.AliasOperations]) -> None:
        """Carry out all the actions at once, or none of them."""
        after = dict(self._aliases)
        for action in actions:
            match variant(action, "action"):
                case "create_alias":
                    self._point(after, action.create_alias.alias_name, action.create_alias.collection_name)
                case "rename_alias":
                    old = action.rename_alias.old_alias_name
                    if old not in after:
                        raise missing(f"Alias {old} does not exist!")
                    self._point(after, action.rename_alias.new_alias_name, after.pop(old))
                case _:
                    after.pop(action.delete_alias.alias_name, None)  # a server, too, deletes what is not there
        self._commit(self._collections, after)

    def _point(self, aliases: dict[str, str], alias: str, target: str) -> None:
        if target not in self._collections:
            raise missing(f"Collection `{target}` doesn't exist!")
        check_name(alias)
        if alias in self._collections:
            raise exists(f"Collection `{alias}` already exists!")
        aliases[alias] = target

    def flush(self) -> None:
        """Write what is in memory to the collections' own files, so that the next start replays less."""
        for collection in list(self._collections.values()):
            collection.shard.flush()

    def close(self) -> None:
        """Flush and let go of every collection."""
        while self._collections:
            _, collection = self._collections.popitem()
            collection.shard.flush()
            collection.shard.close()
