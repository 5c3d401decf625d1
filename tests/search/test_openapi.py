"""Whatever the OpenAPI document allows, and much that it does not: an answer or a sentence, never a failure of ours."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.search.shop import stocked

schemathesis = pytest.importorskip("schemathesis", reason="not installed: pip install -e .[dev]")

APP = stocked().app()
SCHEMA = schemathesis.openapi.from_asgi("/openapi.json", APP)
SCHEMA.config.generation.update(modes=list(schemathesis.GenerationMode))


@SCHEMA.exclude(path_regex="^/live").parametrize()
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_request_makes_the_service_fail(case: Any) -> None:
    response = case.call()
    # A time too short to answer in is a 503 that says so.
    assert response.status_code < 500 or response.json()["error"]["type"] == "timeout", response.text
