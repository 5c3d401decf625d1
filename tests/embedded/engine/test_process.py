"""The engine's process: refusals at start, answers under load, and shutdown."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import grpc
import psutil
import pytest
from qdrant_client import AsyncQdrantClient, QdrantClient, models
from qdrant_client import grpc as pb

from embedded.engine.process import EngineProcess
from embedded.errors import EmbeddedError
from tests.embedded.engine.shelves import connect, make_collection, refusal, served, vector


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
        started = time.monotonic()
        pb.QdrantStub(channel).HealthCheck(pb.HealthCheckRequest())
        assert time.monotonic() - started < 1
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
    await asyncio.gather(*(client.upsert(shelf, [models.PointStruct(id=key, vector={})]) for key in range(1, 33)))
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


def test_an_unknown_collection_of_a_fresh_engine_is_missing(client: QdrantClient) -> None:
    with refusal("NOT_FOUND", "nowhere"):
        client.count("nowhere")
