"""Keys as a person makes and ends them."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from liveshelf.cli import main
from liveshelf.searching import hosts_of
from liveshelf.settings import Settings, load_settings, variable
from search import Keyring
from search.caller import Scope


@pytest.fixture(autouse=True)
def file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    for name in Settings.model_fields:
        monkeypatch.delenv(variable(name), raising=False)
    monkeypatch.setenv("LIVESHELF_KEYS", str(tmp_path / "keys.json"))
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
    found = Keyring(file).find(key)
    assert found is not None
    assert (found.tenant, found.scopes, found.rate) == ("a", {Scope.READ, Scope.WRITE}, 50)
    listed = keys("list").output
    for said in (found.id, "shop-a", "read, write", "50/s"):
        assert said in listed
    assert key[12:] not in listed
    assert keys("add", "other").exit_code == 0
    assert keys("revoke", "shop-a").exit_code == 0
    assert Keyring(file).find(key) is None
    assert keys("revoke", keys("list").stdout.splitlines()[1].split()[0]).exit_code == 0
    assert "There are no keys" in keys("list").output


def test_a_key_reads_for_the_settings_tenant_unless_told_otherwise(file: Path) -> None:
    ring = {}
    for name, options in {"own": [], "all": ["--all-tenants"], "brief": ["--expires", "90d"]}.items():
        key = keys("add", name, *options).stdout.strip()
        ring[name] = Keyring(file).find(key)
    assert [ring[name].tenant for name in ring] == ["default", None, "default"]
    assert ring["own"].scopes == {Scope.READ}
    assert (ring["brief"].expires - ring["brief"].created).days == 90


def test_what_cannot_be_made_or_ended_is_a_sentence(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys("add", "shop")
    assert "already" in sentence(keys("add", "shop"))
    assert "not both" in sentence(keys("add", "x", "--tenant", "a", "--all-tenants"))
    assert "1 to 64" in sentence(keys("add", ""))
    assert "keys list" in sentence(keys("revoke", "nobody"))
    assert keys("add", "x", "--scope", "all").exit_code == 2
    file.write_text("?")
    assert "is no file of keys" in sentence(keys("list"))
    monkeypatch.delenv("LIVESHELF_KEYS")
    assert "set LIVESHELF_KEYS" in sentence(keys("list"))


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
    assert hosts_of(load_settings(host=host)) == answered
