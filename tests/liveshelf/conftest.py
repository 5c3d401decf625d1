"""What the tests of the commands start from."""

import pytest

from liveshelf.settings import Settings, variable


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings of the one who runs the tests are not the tests'."""
    for name in Settings.model_fields:
        monkeypatch.delenv(variable(name), raising=False)
