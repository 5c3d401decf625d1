"""Keys as a person makes and ends them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from click.testing import CliRunner, Result

from embedded.engine.process import EngineProcess
from liveshelf.cli import main
from liveshelf.settings import environment, load_settings
from liveshelf.wiring.search import hosts_of
from search import KeyFile
from search.auth.caller import KeyScope
from tests.integration.shop import wait_for

HOSTS = {"localhost": 200, "127.0.0.1:1": 200, "shelf.test": 200, "evil.example": 421}


@pytest.fixture(autouse=True)
def file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("LIVESHELF_API_KEYS_FILE", str(tmp_path / "keys.json"))
    return tmp_path / "keys.json"


def keys(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["keys", *arguments])


def sentence(result: Result) -> str:
    assert result.exit_code == 1, result.output
    assert "Traceback" not in result.output
    return result.output


def test_a_key_is_made_shown_once_listed_and_revoked(file: Path) -> None:
    made = keys("add", "shop-a", "--tenant", "a", "--scope", "read", "--scope", "write", "--rate", "50")
    assert made.exit_code == 0, made.output
    key = made.stdout.strip()
    assert "may read, write for the tenant a" in made.stderr
    found = KeyFile(file).find(key)
    assert found is not None
    assert (found.tenant, found.scopes, found.rate) == ("a", {KeyScope.READ, KeyScope.WRITE}, 50)
    listed = keys("list").output
    for said in (found.id, "shop-a", "read, write", "50/s"):
        assert said in listed
    assert key[12:] not in listed
    assert keys("add", "other").exit_code == 0
    assert keys("revoke", "shop-a").exit_code == 0
    assert KeyFile(file).find(key) is None
    assert keys("revoke", keys("list").stdout.splitlines()[1].split()[0]).exit_code == 0
    assert "There are no keys" in keys("list").output


def test_a_key_reads_for_the_settings_tenant_unless_told_otherwise(file: Path) -> None:
    ring = {}
    for name, options in {"own": [], "all": ["--all-tenants"], "brief": ["--expires", "90d"]}.items():
        key = keys("add", name, *options).stdout.strip()
        ring[name] = KeyFile(file).find(key)
    assert [ring[name].tenant for name in ring] == ["default", None, "default"]
    assert ring["own"].scopes == {KeyScope.READ}
    assert (ring["brief"].expires - ring["brief"].created).days == 90


def test_what_cannot_be_made_or_ended_is_a_sentence(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys("add", "shop")
    assert "already" in sentence(keys("add", "shop"))
    assert "not both" in sentence(keys("add", "x", "--tenant", "a", "--all-tenants"))
    assert "1 to 64" in sentence(keys("add", ""))
    assert "keys list" in sentence(keys("revoke", "nobody"))
    assert keys("add", "x", "--scope", "all").exit_code == 2
    file.write_text("?")
    assert "is not a file of keys" in sentence(keys("list"))
    monkeypatch.delenv("LIVESHELF_API_KEYS_FILE")
    assert "set LIVESHELF_API_KEYS_FILE" in sentence(keys("list"))


@pytest.mark.parametrize(
    ("host", "allowed", "answered"),
    [
        ("127.0.0.1", "", {"localhost", "127.0.0.1", "[::1]"}),
        ("127.0.0.5", "", {"localhost", "127.0.0.1", "[::1]", "127.0.0.5"}),
        ("localhost", "Shelf.internal", {"localhost", "127.0.0.1", "[::1]", "shelf.internal"}),
        ("0.0.0.0", "", set()),  # noqa: S104
        ("0.0.0.0", "shelf.example", {"localhost", "127.0.0.1", "[::1]", "0.0.0.0", "shelf.example"}),  # noqa: S104
    ],
)
def test_which_host_names_are_answered(
    host: str, allowed: str, answered: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIVESHELF_ALLOWED_HOSTS", allowed)
    assert hosts_of(load_settings(search_host=host)) == answered


@contextmanager
def serving(engine: EngineProcess, tmp_path: Path, *options: str, **settings: object) -> Iterator[int]:
    """A search service as a user starts it; its port."""
    ready, log = tmp_path / "serve.ready", tmp_path / "serve.log"
    told = load_settings(qdrant_url=engine.url, collection=f"keys-{uuid4().hex}", ready_file=ready, **settings)
    command = [sys.executable, "-m", "liveshelf", "serve", "--port", "0", *options]
    with log.open("wb") as out:
        child = subprocess.Popen(command, env=environment(told), stdout=out, stderr=out)
    try:
        wait_for(lambda: ready.exists() or child.poll() is not None, 240)
        assert child.poll() is None, log.read_text()
        yield json.loads(ready.read_text())["port"]
    finally:
        child.terminate()
        child.wait(30)


@pytest.mark.timeout(300)  # it starts a whole service
def test_a_service_that_others_reach_asks_for_a_key_and_answers_to_its_names_alone(
    file: Path, engine: EngineProcess, tmp_path: Path
) -> None:
    key = {"x-api-key": keys("add", "shop").stdout.strip()}
    keys("add", "other")
    with (
        serving(engine, tmp_path, "--host", "0.0.0.0", api_keys_file=file, allowed_hosts=("shelf.test",)) as port,  # noqa: S104
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client,
    ):
        assert client.get("/v1/products/x").status_code == 401
        assert client.post("/v1/search", json={"text": "mug"}, headers=key).json()["hits"] == []
        assert client.get("/").status_code == 200
        assert {host: client.get("/v1/status", headers={"host": host}).status_code for host in HOSTS} == HOSTS
        keys("revoke", "shop")
        wait_for(lambda: client.get("/v1/products/x", headers=key).status_code == 401, 20)


def test_a_file_without_a_key_keeps_the_service_from_starting(file: Path) -> None:
    result = CliRunner().invoke(main, ["serve", "--port", "0"])
    assert "liveshelf keys add" in sentence(result)
