from __future__ import annotations

import json
from pathlib import Path

import pytest

from catalog.errors import InvalidInput
from catalog.ingest.image_retry import ImageRetryPolicy
from liveshelf.settings import Settings, environment, load_settings, secret, unknown_variables
from liveshelf.wiring.worker import image_retry_policy_of


def test_the_defaults_are_for_one_machine():
    settings = load_settings()
    assert settings.kafka_bootstrap_servers == "127.0.0.1:9092"
    assert settings.image_file_roots == ()


def test_lists_are_comma_separated(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LIVESHELF_IMAGE_FILE_ROOTS", "/a, /b")
    monkeypatch.setenv("LIVESHELF_INDEXED_ATTRIBUTES", "brand,size")
    settings = load_settings()
    assert settings.image_file_roots == (Path("/a"), Path("/b"))
    assert settings.indexed_attributes == ("brand", "size")


def test_an_empty_variable_is_no_variable(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LIVESHELF_ENCODER_THREADS", "")
    assert load_settings().encoder_threads is None


def test_what_a_caller_gives_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LIVESHELF_SEARCH_PORT", "1")
    assert load_settings(search_port=2, search_host=None).search_port == 2


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("BATCH_MAX_RECORDS", "many", "valid integer"),
        ("BATCH_MAX_RECORDS", "0", "greater than or equal to 1"),
        ("SEARCH_PORT", "70000", "less than or equal to 65535"),
        ("QDRANT_URL", "localhost:6334", "http:// or https://"),
        ("COLLECTION", "a/b", "pattern"),
        ("KAFKA_SECURITY_PROTOCOL", "TLS", "SASL_SSL"),
        ("LOG_LEVEL", "loud", "DEBUG"),
        ("DRAIN_TIMEOUT_SECONDS", "nan", "less than or equal to 600"),
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
    settings = load_settings(qdrant_api_key="s3cret", kafka_sasl_password="s3cret")
    assert "s3cret" not in repr(settings)


def test_a_misspelt_variable_is_refused_with_the_nearest_name(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LIVESHELF_LIVE_TOPICS", "x")
    monkeypatch.setenv("LIVESHELF_TEST_QDRANT_URL", "http://x")
    assert unknown_variables() == ["LIVESHELF_LIVE_TOPICS"]
    with pytest.raises(
        InvalidInput, match=r"LIVESHELF_LIVE_TOPICS is not a setting: did you mean LIVESHELF_LIVE_TOPIC\?"
    ):
        load_settings()


def test_what_kubernetes_sets_for_a_service_of_our_name_is_passed_over_or_explained(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LIVESHELF_WORKER_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("LIVESHELF_WORKER_PORT_9000_TCP_ADDR", "10.0.0.1")
    assert load_settings().search_port == 8000
    monkeypatch.setenv("LIVESHELF_SEARCH_PORT", "tcp://10.0.0.1:8000")
    with pytest.raises(InvalidInput, match="enableServiceLinks: false"):
        load_settings()


def test_a_value_that_is_refused_is_repeated_but_not_a_secret(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LIVESHELF_SEARCH_PORT", "abc")
    with pytest.raises(InvalidInput, match="LIVESHELF_SEARCH_PORT=abc: the value should be a valid integer"):
        load_settings()
    monkeypatch.delenv("LIVESHELF_SEARCH_PORT")
    with pytest.raises(InvalidInput) as caught:
        load_settings(qdrant_api_key=5)
    assert "=5" not in str(caught.value)


def test_the_log_level_may_be_in_lower_case(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LIVESHELF_LOG_LEVEL", "debug")
    assert load_settings().log_level == "DEBUG"


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LIVESHELF_CONFIG", str(tmp_path / "liveshelf.toml"))
    return tmp_path / "liveshelf.toml"


def test_the_environment_wins_over_the_file_and_arguments_over_both(config: Path, monkeypatch: pytest.MonkeyPatch):
    config.write_text(
        'live_topic = "a"\nsearch_port = 1\nindexed_attributes = ["brand", "size"]\nimage_retry = false\n'
    )
    assert load_settings().live_topic == "a"
    assert load_settings().indexed_attributes == ("brand", "size")
    assert load_settings().image_retry is False
    monkeypatch.setenv("LIVESHELF_LIVE_TOPIC", "b")
    assert load_settings().live_topic == "b"
    assert load_settings(live_topic="c").live_topic == "c"
    assert load_settings().search_port == 1


def test_a_child_process_has_the_settings_of_the_file_without_the_file(config: Path):
    config.write_text('live_topic = "a"\n')
    env = environment(load_settings())
    assert env["LIVESHELF_LIVE_TOPIC"] == "a"
    assert "LIVESHELF_CONFIG" not in env


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('live_topics = "a"', "live_topics is not a setting: did you mean live_topic?"),
        ('LIVE_TOPIC = "a"', "LIVE_TOPIC is not a setting: did you mean live_topic?"),
        ("live_topic = a", "is not TOML"),
        ('[liveshelf]\nlive_topic = "a"', "[liveshelf] is a table: write the settings at the top"),
        ("search_port = 70000", "search_port=70000"),
        ("\udcff", "is not TOML"),
        (None, "cannot be read"),
    ],
)
def test_a_bad_file_is_a_sentence_that_names_it(config: Path, text: str | None, says: str):
    if text is not None:
        config.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(InvalidInput) as caught:
        load_settings()
    assert says in str(caught.value)
    assert str(config) in str(caught.value)


@pytest.mark.parametrize("folders", [(), ("/a,b",), ("/a", "/b"), ("[/a", "/b"), (" /a",)])
def test_a_list_is_the_same_in_a_child_process(config: Path, monkeypatch: pytest.MonkeyPatch, folders: tuple[str, ...]):
    config.write_text(f"image_file_roots = {json.dumps(folders)}\nindexed_attributes = []\nimage_allow_ports = []\n")
    env = environment(load_settings())
    monkeypatch.delenv("LIVESHELF_CONFIG")
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    settings = load_settings()
    assert settings.image_file_roots == tuple(map(Path, folders))
    assert (settings.indexed_attributes, settings.image_allow_ports) == ((), ())


def test_a_secret_may_end_with_the_line_break_of_its_file_and_have_no_other():
    assert secret(load_settings(qdrant_api_key="abc\n").qdrant_api_key) == "abc"
    with pytest.raises(InvalidInput, match="LIVESHELF_QDRANT_API_KEY: the value should be one line"):
        load_settings(qdrant_api_key="a\nb")


def test_a_name_that_is_no_setting_is_an_error_of_the_program():
    with pytest.raises(TypeError, match="live_topics"):
        load_settings(live_topics="a")
    with pytest.raises(TypeError, match="live_topics"):
        load_settings().model_copy(update={"live_topics": "a"})


def test_photos_are_tried_again_after_waits_that_can_be_set(monkeypatch: pytest.MonkeyPatch):
    assert image_retry_policy_of(load_settings()) == ImageRetryPolicy()
    monkeypatch.setenv("LIVESHELF_IMAGE_RETRY_DELAYS_SECONDS", "1, 2.5")
    assert image_retry_policy_of(load_settings()).delays_s == (1, 2.5)
    assert image_retry_policy_of(load_settings(image_retry=False)).delays_s == ()
    with pytest.raises(InvalidInput, match="LIVESHELF_IMAGE_RETRY_DELAYS_SECONDS"):
        load_settings(image_retry_delays_seconds="1,soon")
