"""Checks docker-compose.yml against the Compose specification and the code that it starts."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest

from liveshelf.settings import PREFIX, Settings
from tests.deploy.files import COMPOSE, ROOT, compose, image_environment, project, service

OURS = ("worker", "search")


def validate(file: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(file)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def environment(name: str) -> dict[str, str]:
    return image_environment() | {k: str(v) for k, v in service(name).get("environment", {}).items()}


def settings_of(name: str) -> Settings:
    """The settings in a container of the service."""
    values = {k.removeprefix(PREFIX).lower(): v for k, v in environment(name).items() if k.startswith(PREFIX)}
    arguments = service(name)["command"]
    values |= {
        f"search_{o}": arguments[arguments.index(f"--{o}") + 1] for o in ("host", "port") if f"--{o}" in arguments
    }
    return Settings(**values)


def default(name: str) -> str:
    return str(Settings.model_fields[name].default)


def published(name: str) -> dict[str, str]:
    """The host address of each published container port."""
    return {target: address for address, _, target in (p.rpartition(":") for p in service(name)["ports"])}


def test_the_file_follows_the_compose_specification():
    done = validate(COMPOSE)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_specification_would_catch_a_mistyped_key(tmp_path):
    wrong = tmp_path / "docker-compose.yml"
    wrong.write_text(COMPOSE.read_text("utf-8").replace("start_period:", "start_periods:", 1), "utf-8")
    assert "start_periods" in validate(wrong).stdout


@pytest.mark.parametrize("name", compose()["services"])
def test_every_image_has_a_version(name):
    image, _, tag = service(name)["image"].rpartition(":")
    assert image
    assert re.fullmatch(r"v?\d+\.\d+\.\d+", tag)


def test_our_image_has_the_version_of_the_project():
    assert {service(name)["image"] for name in OURS} == {f"liveshelf:{project()['project']['version']}"}


def test_kafka_is_the_version_that_is_embedded():
    locked = tomllib.loads((ROOT / "embedded" / "broker" / "kafka.lock.toml").read_text("utf-8"))
    versions = [jar["coordinate"].split(":")[2] for jar in locked["jar"] if ":kafka_2.13:" in jar["coordinate"]]
    assert [service("kafka")["image"].rpartition(":")[2]] == versions


@pytest.mark.parametrize("name", OURS)
def test_every_variable_is_a_setting(name):
    ours = {k for k in environment(name) if k.startswith("LIVESHELF")}
    assert ours <= {PREFIX + field.upper() for field in Settings.model_fields}


@pytest.mark.parametrize("name", OURS)
def test_the_settings_can_be_read_from_the_containers_environment(name):
    code = "from liveshelf.settings import load_settings; print(load_settings().model_dump_json())"
    env = {k: v for k, v in os.environ.items() if not k.startswith(PREFIX)} | environment(name)
    env["PATH"] = os.environ["PATH"]
    done = subprocess.run([sys.executable, "-c", code], env=env, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    read = Settings.model_validate_json(done.stdout)
    assert read.qdrant_url == "http://qdrant:6334"


def test_the_worker_has_the_addresses_of_kafka_and_qdrant():
    settings = settings_of("worker")
    advertised = dict(
        listener.split("://") for listener in service("kafka")["environment"]["KAFKA_ADVERTISED_LISTENERS"].split(",")
    )
    assert settings.kafka_bootstrap_servers == advertised["INTERNAL"]
    assert settings.qdrant_url == "http://qdrant:6334"
    assert settings_of("search").qdrant_url == settings.qdrant_url


def test_both_sides_agree_on_model_and_collection():
    worker, search = settings_of("worker"), settings_of("search")
    for shared in ("model", "collection", "default_tenant", "indexed_attributes"):
        assert getattr(worker, shared) == getattr(search, shared)


def test_programs_of_this_machine_reach_everything_with_the_default_settings():
    kafka_port = default("kafka_bootstrap_servers").rpartition(":")[2]
    assert f"{published('kafka')[kafka_port]}" == default("kafka_bootstrap_servers")
    assert (
        f"HOST://{default('kafka_bootstrap_servers')}" in service("kafka")["environment"]["KAFKA_ADVERTISED_LISTENERS"]
    )
    assert f"http://{published('qdrant')['6334']}" == default("qdrant_url")
    port = str(settings_of("search").search_port)
    assert published("search")[port] == f"{default('search_host')}:{default('search_port')}"


def test_nothing_is_published_beyond_this_machine():
    for spec in compose()["services"].values():
        assert all(port.startswith("127.0.0.1:") for port in spec.get("ports", []))


def test_the_worker_creates_the_topics():
    assert service("kafka")["environment"]["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"
    worker, defaults = settings_of("worker"), Settings.model_fields
    for topic in ("live_topic", "backfill_topic", "quarantine_topic"):
        assert getattr(worker, topic) == defaults[topic].default
    assert worker.topic_replication_factor == 1  # there is one broker


def test_the_search_service_may_be_reached_from_outside_its_container():
    assert settings_of("search").search_host == "0.0.0.0"  # noqa: S104 -- inside the container
    assert "--insecure" in service("search")["command"]


@pytest.mark.parametrize("name", OURS)
def test_the_command_is_one_of_ours_and_takes_these_options(name):
    from liveshelf.cli import main

    command, *arguments = service(name)["command"]
    click_command = main.get_command(click.Context(main), command)
    assert click_command is not None
    context = click_command.make_context(command, arguments, resilient_parsing=False)
    assert context.command.name == command


def test_services_wait_until_their_dependencies_are_healthy():
    assert service("worker")["depends_on"] == {n: {"condition": "service_healthy"} for n in ("kafka", "qdrant")}
    assert service("search")["depends_on"] == {"qdrant": {"condition": "service_healthy"}}
    for spec in compose()["services"].values():
        assert spec["healthcheck"]["test"][0] == "CMD"
        assert spec["restart"] == "unless-stopped"


def test_a_worker_has_time_to_finish_what_is_in_flight():
    grace = int(service("worker")["stop_grace_period"].removesuffix("s"))
    assert grace >= settings_of("worker").drain_timeout_seconds + 20


def test_the_worker_is_healthy_while_its_ready_file_exists():
    worker = service("worker")
    ready = settings_of("worker").ready_file
    assert worker["healthcheck"]["test"] == ["CMD", "test", "-f", str(ready)]
    # On tmpfs, the file cannot outlive a killed container.
    assert str(ready.parent) in worker["tmpfs"]


def test_data_outlives_the_containers():
    volumes = compose()["volumes"]
    logs = service("kafka")["environment"]["KAFKA_LOG_DIRS"]
    assert f"kafka:{logs}" in service("kafka")["volumes"]
    assert "qdrant:/qdrant/storage" in service("qdrant")["volumes"]
    assert {"kafka", "qdrant"} <= set(volumes)


@pytest.mark.parametrize("name", OURS)
def test_our_containers_have_no_extra_rights(name):
    spec = service(name)
    assert spec["read_only"] is True
    assert spec["cap_drop"] == ["ALL"]
    assert spec["security_opt"] == ["no-new-privileges:true"]
