from __future__ import annotations

from pathlib import Path

import pytest

from catalog.errors import InvalidInput
from catalog.ingest.image_retry import ImageRetryPolicy
from liveshelf.settings import Settings, load_settings, unknown_variables
from liveshelf.wiring.worker import repair_policy_of


def test_the_defaults_are_for_one_machine():
    settings = load_settings()
    assert settings.kafka == "127.0.0.1:9092"
    assert settings.image_file_roots == ()


def test_lists_are_comma_separated(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LIVESHELF_IMAGE_FILE_ROOTS", "/a, /b")
    monkeypatch.setenv("LIVESHELF_INDEXED_ATTRIBUTES", "brand,size")
    settings = load_settings()
    assert settings.image_file_roots == (Path("/a"), Path("/b"))
    assert settings.indexed_attributes == ("brand", "size")


def test_an_empty_variable_is_no_variable(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LIVESHELF_THREADS", "")
    assert load_settings().threads is None


def test_what_a_caller_gives_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LIVESHELF_PORT", "1")
    assert load_settings(port=2, host=None).port == 2


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("BATCH_SIZE", "many", "valid integer"),
        ("BATCH_SIZE", "0", "greater than or equal to 1"),
        ("PORT", "70000", "less than or equal to 65535"),
        ("QDRANT_URL", "localhost:6334", "http:// or https://"),
        ("COLLECTION", "a/b", "pattern"),
        ("KAFKA_SECURITY", "TLS", "SASL_SSL"),
        ("LOG_LEVEL", "loud", "DEBUG"),
        ("DRAIN_SECONDS", "nan", "less than or equal to 600"),
    ],
)
def test_a_bad_value_says_which_why_and_what_is_allowed(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, says: str
):
    monkeypatch.setenv(f"LIVESHELF_{name}", value)
    with pytest.raises(InvalidInput) as caught:
        load_settings()
    assert f"LIVESHELF_{name}" in str(caught.value)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_setting_is_described():
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_secrets_do_not_show():
    settings = load_settings(qdrant_api_key="s3cret", kafka_password="s3cret")
    assert "s3cret" not in repr(settings)


def test_a_misspelt_variable_is_found(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LIVESHELF_KAFKAS", "x")
    monkeypatch.setenv("LIVESHELF_TEST_QDRANT_URL", "http://x")
    assert unknown_variables() == ["LIVESHELF_KAFKAS"]


def test_photos_are_tried_again_after_waits_that_can_be_set(monkeypatch: pytest.MonkeyPatch):
    assert repair_policy_of(load_settings()) == ImageRetryPolicy()
    monkeypatch.setenv("LIVESHELF_REPAIR_AFTER_S", "1, 2.5")
    assert repair_policy_of(load_settings()).delays_s == (1, 2.5)
    assert repair_policy_of(load_settings(repair=False)).delays_s == ()
    with pytest.raises(InvalidInput, match="LIVESHELF_REPAIR_AFTER_S"):
        load_settings(repair_after_s="1,soon")
