"""The links, variables and commands on the pages for operators and contributors exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from liveshelf.settings import PREFIX, Settings
from tests.browser.conftest import BROWSER
from tests.deploy.files import ROOT, compose
from tests.fixtures_engine import SERVER

PAGES = [ROOT / "deploy" / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", ROOT / "docs" / "events.md"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_exist(page: Path):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text("utf-8")):
        assert target.startswith("https://") or (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_variables_are_settings(page: Path):
    named = set(re.findall(rf"\b{PREFIX}[A-Z0-9_]+", page.read_text("utf-8"))) - {PREFIX + "NAME"}
    assert named <= {PREFIX + field.upper() for field in Settings.model_fields} | {SERVER, BROWSER}


def test_the_page_has_the_worker_s_grace_period():
    page = PAGES[0].read_text("utf-8")
    grace = compose()["services"]["worker"]["stop_grace_period"].removesuffix("s")
    assert f"The worker has {grace} seconds" in page
    assert f"`LIVESHELF_DRAIN_TIMEOUT_SECONDS` ({Settings.model_fields['drain_timeout_seconds'].default:g})" in page


def test_the_page_names_the_published_addresses():
    page = PAGES[0].read_text("utf-8")
    for spec in compose()["services"].values():
        for port in spec.get("ports", []):
            assert port.rpartition(":")[0] in page


def test_commands_go_to_existing_services():
    page = PAGES[0].read_text("utf-8")
    run = re.findall(r"docker compose run (?:--[\w-]+(?: \./\S+)? )*(\w+) (\w+)", page)
    assert {service for service, _ in run} == {"worker"}
    assert {command for _, command in run} == {"backfill", "produce", "check"}
