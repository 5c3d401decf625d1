"""Answered writes survive every end of the engine's process."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from itertools import pairwise
from pathlib import Path

import grpc
from qdrant_client import QdrantClient, models

from embedded.engine.process import EngineProcess
from tests.embedded.engine.shelves import DIM, connect, make_collection, newer, served, vector

# Each point's version and offer; None if it was deleted.
State = dict[int, tuple[int, int] | None]


def stored(client: QdrantClient) -> dict[int, tuple[int, int]]:
    records, _ = client.scroll("stock", limit=10_000, with_vectors=True)
    states = {}
    for record in records:
        payload = record.payload or {}
        assert isinstance(record.vector, dict)
        assert payload["v"] == record.vector["words"].indices[0], "payload and vectors are of one write"
        states[int(record.id)] = (payload["v"], payload["offer"])
    return states


def point(key: int, version: int) -> models.PointStruct:
    words = models.SparseVector(indices=[version], values=[1.0])
    return models.PointStruct(id=key, vector={"words": words}, payload={"v": version, "offer": 0})


def write_something(client: QdrantClient, rng: random.Random, version: int, known: State, after: State) -> None:
    """One random write. The states that it leads to are added to `after` before it is sent."""
    keys = rng.sample(range(500), 32)
    kind = rng.random()
    if kind < 0.6:
        points = [point(key, rng.choice([version, 1])) for key in keys]
        for written in points:
            new, state = (written.payload or {})["v"], known.get(int(written.id))
            if state is None or state[0] < new:
                after[int(written.id)] = (new, 0)
        client.upsert("stock", points, update_filter=newer(points, "v"))
    elif kind < 0.8:
        after.update(dict.fromkeys(keys))
        client.delete("stock", models.PointIdsList(points=keys))
    else:
        present = [(key, state) for key in keys if (state := known.get(key))]
        after.update({key: (state[0], version) for key, state in present})
        if present:
            client.set_payload("stock", {"offer": version}, points=[key for key, _ in present])


def write_until_killed(client: QdrantClient, rng: random.Random, known: State, busy_s: float) -> State:
    """Write for `busy_s`, then wait. Returns the states after the last, unanswered write, if there was one."""
    version = 1 + max((sum(state) for state in known.values() if state), default=0)
    deadline = time.monotonic() + busy_s
    while time.monotonic() < deadline:
        version += 1
        after: State = {}
        try:
            write_something(client, rng, version, known, after)
        except grpc.RpcError as error:
            if error.code() != grpc.StatusCode.UNAVAILABLE:
                raise
            return after
        known.update(after)
    return {}


def test_answered_writes_survive_kill_9(tmp_path: Path) -> None:
    rng = random.Random(5)
    known: State = {}
    in_flight: State = {}
    # Killed during writes, and about a second after the last write, which is when it flushes.
    for busy_s, killed_s in [(9.0, 0.3), (0.3, 1.4), (9.0, 0.6), (0.4, 1.55), (0.0, 0.0)]:
        engine = EngineProcess.start(tmp_path)
        client = connect(engine.port)
        if not known:
            make_collection(client, "stock")
            client.create_payload_index("stock", "v", models.PayloadSchemaType.INTEGER)
        states = stored(client)
        for key in set(known) | set(in_flight) | set(states):
            assert states.get(key) in {known.get(key), in_flight.get(key, known.get(key))}, key
        known = dict(states)
        killer = threading.Timer(killed_s, engine.kill)
        killer.start()
        in_flight = write_until_killed(client, rng, known, busy_s)
        killer.join()
        client.close()
    assert len(known) > 100


def test_writes_are_flushed_when_no_calls_come(tmp_path: Path) -> None:
    def flushed() -> int:
        return sum(file.stat().st_size for file in tmp_path.rglob("mutable_id_tracker.mappings"))

    with EngineProcess.start(tmp_path) as engine:
        client = connect(engine.port)
        make_collection(client, "stock")
        client.upsert("stock", [point(key, 1) for key in range(100)])
        calls = [time.monotonic()]
        while calls[-1] < calls[0] + 2.5:
            # A flush would delay calls, so a reader alone postpones it.
            client.count("stock")
            time.sleep(0.05)
            calls.append(time.monotonic())
        meanwhile = flushed()
        client.close()
        while not flushed() and time.monotonic() < calls[-1] + 30:
            time.sleep(0.1)
        assert flushed()
        assert not meanwhile or max(later - earlier for earlier, later in pairwise(calls)) > 0.9


def test_collections_aliases_and_indexes_survive_a_stop_and_a_kill(tmp_path: Path) -> None:
    def state_of(port: int) -> tuple[object, ...]:
        client = connect(port)
        info = client.get_collection("stock")
        state = (client.get_aliases(), info.config, info.payload_schema, client.count("live").count)
        client.close()
        return state

    with EngineProcess.start(tmp_path) as engine:
        client = connect(engine.port)
        make_collection(client, "stock")
        make_collection(client, "gone")
        client.create_payload_index("stock", "v", models.PayloadSchemaType.INTEGER)
        client.update_collection_aliases(
            [models.CreateAliasOperation(create_alias=models.CreateAlias(collection_name="stock", alias_name="live"))]
        )
        client.upsert("live", [point(1, 1)])
        client.delete_collection("gone")
        client.close()
        before = state_of(engine.port)
    for end in (EngineProcess.stop, EngineProcess.kill):
        engine = EngineProcess.start(tmp_path)
        assert state_of(engine.port) == before
        end(engine)
    assert len(list((tmp_path / "collections").iterdir())) == 1


def test_a_folder_that_a_crash_left_is_removed(tmp_path: Path) -> None:
    EngineProcess.start(tmp_path).stop()
    leftover = tmp_path / "collections" / "7"
    leftover.mkdir()
    (leftover / "part").touch()
    EngineProcess.start(tmp_path).stop()
    assert not leftover.exists()


def test_sigterm_finishes_calls_in_flight_and_ends_with_0(tmp_path: Path) -> None:
    engine = EngineProcess.start(tmp_path)
    client = connect(engine.port)
    make_collection(client, "stock")
    answered: list[int] = []

    def write() -> None:
        for version in range(1, 10_000):
            try:
                client.upsert("stock", [point(key, version) for key in range(64)])
            except grpc.RpcError:
                return
            answered.append(version)

    writing = threading.Thread(target=write)
    writing.start()
    time.sleep(0.5)
    os.kill(engine.pid, signal.SIGTERM)
    started = time.monotonic()
    assert engine.stop() == 0
    seconds = time.monotonic() - started
    writing.join()
    client.close()
    assert seconds < 5
    with served(tmp_path) as client:
        ((version, _),) = set(stored(client).values())
        assert version - answered[-1] in {0, 1}


def test_optimizing_before_serving_keeps_every_point(tmp_path: Path) -> None:
    with served(tmp_path) as client:
        client.create_collection(
            "stock",
            vectors_config={"fused": models.VectorParams(size=DIM, distance=models.Distance.COSINE)},
            optimizers_config=models.OptimizersConfigDiff(indexing_threshold=10),
        )
        for start in range(0, 2000, 500):
            points = [
                models.PointStruct(id=n, vector={"fused": vector(n)}, payload={"v": n})
                for n in range(start, start + 500)
            ]
            client.upsert("stock", points)
    with EngineProcess.start(tmp_path, optimize=True, timeout=90) as engine:
        client = connect(engine.port)
        assert client.count("stock").count == 2000
        assert (client.get_collection("stock").indexed_vectors_count or 0) > 0
        assert client.query_points("stock", query=vector(77), using="fused", limit=1).points[0].id == 77
        client.set_payload("stock", {"v": -1}, points=[77])
        client.upsert("stock", [models.PointStruct(id=78, vector={"fused": vector(78)}, payload={"v": -2})])
        client.close()
        engine.kill()
    with served(tmp_path) as client:
        assert client.count("stock").count == 2000
        assert [record.payload for record in client.retrieve("stock", [77, 78])] == [{"v": -1}, {"v": -2}]
