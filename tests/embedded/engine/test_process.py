"""The engine's process: what outlives it, what it refuses to start on, and how it ends."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import psutil
import pytest
from qdrant_client import AsyncQdrantClient, QdrantClient, models
from qdrant_client import grpc as pb

from embedded.engine.process import EngineProcess
from embedded.errors import EmbeddedError
from tests.embedded.engine.shelves import DIM, connect, make_collection, refusal, vector

# Each point's version and offer; None where it was deleted.
State = dict[int, tuple[int, int] | None]


def stored(client: QdrantClient) -> dict[int, tuple[int, int]]:
    records, _ = client.scroll("stock", limit=10_000, with_vectors=True)
    found = {}
    for record in records:
        payload = record.payload or {}
        assert isinstance(record.vector, dict)
        assert payload["v"] == record.vector["words"].indices[0], "payload and vectors are of one write"
        found[int(record.id)] = (payload["v"], payload["offer"])
    return found


def point(key: int, version: int) -> models.PointStruct:
    words = models.SparseVector(indices=[version], values=[1.0])
    return models.PointStruct(id=key, vector={"words": words}, payload={"v": version, "offer": 0})


def newer(points: list[models.PointStruct]) -> models.Filter:
    """Each point only over one of a lower version."""
    guards = [
        models.Filter(
            must=[
                models.HasIdCondition(has_id=[each.id]),
                models.FieldCondition(key="v", range=models.Range(lt=(each.payload or {})["v"])),
            ]
        )
        for each in points
    ]
    return models.Filter(should=list(guards))


def write_something(client: QdrantClient, rng: random.Random, version: int, known: State, after: State) -> None:
    """One write at random; `after` takes what it makes of the points it touches, before it is sent."""
    keys = rng.sample(range(500), 32)
    kind = rng.random()
    if kind < 0.6:
        points = [point(key, rng.choice([version, 1])) for key in keys]
        for each in points:
            wanted, there = (each.payload or {})["v"], known.get(int(each.id))
            if there is None or there[0] < wanted:
                after[int(each.id)] = (wanted, 0)
        client.upsert("stock", points, update_filter=newer(points))
    elif kind < 0.8:
        after.update(dict.fromkeys(keys))
        client.delete("stock", models.PointIdsList(points=keys))
    else:
        there_are = [(key, state) for key in keys if (state := known.get(key))]
        after.update({key: (state[0], version) for key, state in there_are})
        if there_are:
            client.set_payload("stock", {"offer": version}, points=[key for key, _ in there_are])


def write_until_killed(client: QdrantClient, rng: random.Random, known: State, busy_s: float) -> State:
    """Write for `busy_s`, then wait. Returns what the last, unanswered write would have done, if there was one."""
    version = 1 + max((each[0] + each[1] for each in known.values() if each), default=0)
    quiet = time.monotonic() + busy_s
    while time.monotonic() < quiet:
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


def test_what_was_answered_outlives_kill_9(tmp_path: Path) -> None:
    rng = random.Random(5)
    known: State = {}
    in_flight: State = {}
    # Killed while it writes, and about a second after its last write, which is when it flushes.
    for busy_s, killed_s in [(9.0, 0.3), (0.3, 1.4), (9.0, 0.6), (0.4, 1.55), (0.0, 0.0)]:
        engine = EngineProcess.start(tmp_path)
        client = connect(engine.port)
        if not known:
            make_collection(client, "stock")
            client.create_payload_index("stock", "v", models.PayloadSchemaType.INTEGER)
        found = stored(client)
        for key in set(known) | set(in_flight) | set(found):
            assert found.get(key) in {known.get(key), in_flight.get(key, known.get(key))}, key
        known = dict(found)
        killer = threading.Timer(killed_s, engine.kill)
        killer.start()
        in_flight = write_until_killed(client, rng, known, busy_s)
        killer.join()
        client.close()
    assert len(known) > 100


def test_collections_aliases_and_indexes_outlive_a_stop_and_a_kill(tmp_path: Path) -> None:
    def shown(port: int) -> tuple[object, ...]:
        client = connect(port)
        info = client.get_collection("stock")
        found = (client.get_aliases(), info.config, info.payload_schema, client.count("live").count)
        client.close()
        return found

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
        before = shown(engine.port)
    for end in (EngineProcess.stop, EngineProcess.kill):
        engine = EngineProcess.start(tmp_path)
        assert shown(engine.port) == before
        end(engine)
    assert len(list((tmp_path / "collections").iterdir())) == 1


def test_what_a_crash_left_half_made_is_removed(tmp_path: Path) -> None:
    EngineProcess.start(tmp_path).stop()
    left = tmp_path / "collections" / "7"
    left.mkdir()
    (left / "part").touch()
    EngineProcess.start(tmp_path).stop()
    assert not left.exists()


def test_a_folder_has_one_owner(tmp_path: Path) -> None:
    with EngineProcess.start(tmp_path) as engine:
        with pytest.raises(EmbeddedError, match=f"{tmp_path}.*{engine.pid}"):
            EngineProcess.start(tmp_path)
        done = run("--data", str(tmp_path))
        assert done.returncode == 1
        assert str(tmp_path) in done.stderr
        assert str(engine.pid) in done.stderr
        assert "Traceback" not in done.stderr
        assert engine.poll() is None


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "embedded.engine", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_only_this_machine_is_served(tmp_path: Path) -> None:
    for host in ("0.0.0.0", "192.0.2.1", "example.com"):  # noqa: S104
        done = run("--data", str(tmp_path), "--host", host)
        assert done.returncode == 1
        assert host in done.stderr
        assert "loopback" in done.stderr


def test_a_port_that_is_taken_is_said_so(tmp_path: Path, engine: EngineProcess) -> None:
    with pytest.raises(EmbeddedError, match=f"127.0.0.1:{engine.port} cannot be bound"):
        EngineProcess.start(tmp_path, port=engine.port)


def test_a_folder_of_another_format_is_refused(tmp_path: Path) -> None:
    with served(tmp_path) as client:
        make_collection(client, "stock")
    file = tmp_path / "engine.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "format": 99}))
    with pytest.raises(EmbeddedError, match="format 99"):
        EngineProcess.start(tmp_path)


@contextmanager
def served(data: Path) -> Iterator[QdrantClient]:
    """A client to an engine of its own on the folder."""
    with EngineProcess.start(data) as engine:
        client = connect(engine.port)
        yield client
        client.close()


def test_sigterm_finishes_what_is_in_flight_and_ends_well(tmp_path: Path) -> None:
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
    begun = time.monotonic()
    assert engine.stop() == 0
    took = time.monotonic() - begun
    writing.join()
    client.close()
    assert took < 5
    with served(tmp_path) as again:
        ((version, _),) = set(stored(again).values())
        assert version - answered[-1] in {0, 1}


def test_no_engine_outlives_the_process_that_started_it(tmp_path: Path) -> None:
    script = (
        "import sys, os, pathlib; from embedded.engine.process import EngineProcess;"
        "engine = EngineProcess.start(pathlib.Path(sys.argv[1])); print(engine.pid, flush=True);"
        "os.kill(os.getpid(), 9)"
    )
    parent = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, timeout=60)
    assert parent.returncode == -signal.SIGKILL
    deadline = time.monotonic() + 10
    while psutil.pid_exists(int(parent.stdout)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not psutil.pid_exists(int(parent.stdout))


def test_health_is_answered_while_reads_and_writes_wait(tmp_path: Path) -> None:
    with EngineProcess.start(tmp_path) as engine, grpc.insecure_channel(f"127.0.0.1:{engine.port}") as channel:
        client = connect(engine.port)
        make_collection(client, "stock")
        client.upsert("stock", [models.PointStruct(id=n, vector={"fused": vector(n)}, payload={}) for n in range(2000)])
        client.close()
        points = pb.PointsStub(channel)
        ask = pb.ScrollPoints(collection_name="stock", limit=2000, with_payload=pb.WithPayloadSelector(enable=True))
        ask.with_vectors.enable = True
        slow = [points.Scroll.future(ask) for _ in range(20)]
        begun = time.monotonic()
        pb.QdrantStub(channel).HealthCheck(pb.HealthCheckRequest())
        assert time.monotonic() - begun < 1
        assert not all(call.done() for call in slow)
        assert all(len(call.result().result) == 2000 for call in slow)


def test_writes_take_effect_in_the_order_they_arrive(engine: EngineProcess, shelf: str) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{engine.port}") as channel:
        points = pb.PointsStub(channel)
        calls = []
        for version in range(60):
            # Requests of very different sizes, the watched point first, all under way at once.
            batch = [pb.PointStruct(id=pb.PointId(num=1), payload={"v": pb.Value(integer_value=version)})]
            batch += [pb.PointStruct(id=pb.PointId(num=100 + n)) for n in range(version * 37 % 200)]
            calls.append(points.Upsert.future(pb.UpsertPoints(collection_name=shelf, wait=True, points=batch)))
        for call in calls:
            call.result()
        ask = pb.GetPoints(collection_name=shelf, ids=[pb.PointId(num=1)])
        assert points.Get(ask).result[0].payload["v"].integer_value == 59


async def test_the_asynchronous_client_is_answered_too(engine: EngineProcess, shelf: str) -> None:
    client = AsyncQdrantClient(url=engine.url, grpc_port=engine.port, prefer_grpc=True, check_compatibility=False)
    await asyncio.gather(*(client.upsert(shelf, [point(key, key)]) for key in range(1, 33)))
    assert (await client.count(shelf)).count == 32
    with refusal("NOT_FOUND", "nowhere"):
        await client.count("nowhere")
    await client.close()


def test_without_a_ready_file_the_engine_prints_where_it_answers(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "embedded.engine", "--data", str(tmp_path), "--optimize"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        client = connect(ready["port"])
        make_collection(client, "stock")
        client.close()
        os.kill(ready["pid"], signal.SIGINT)
        assert process.wait(10) == 0


def test_optimizing_before_serving_keeps_every_point(tmp_path: Path) -> None:
    with served(tmp_path) as client:
        client.create_collection(
            "stock",
            vectors_config={"fused": models.VectorParams(size=DIM, distance=models.Distance.COSINE)},
            optimizers_config=models.OptimizersConfigDiff(indexing_threshold=10),
        )
        for first in range(0, 2000, 500):
            points = [
                models.PointStruct(id=n, vector={"fused": vector(n)}, payload={"v": n})
                for n in range(first, first + 500)
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


def test_an_unknown_collection_of_a_fresh_engine_is_missing(client: QdrantClient) -> None:
    with refusal("NOT_FOUND", "nowhere"):
        client.count("nowhere")
