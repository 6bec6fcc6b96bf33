"""Routes stay on the event loop: a plain function as route or dependency would go through a thread for each request."""

from __future__ import annotations

from importlib import import_module
from inspect import isasyncgenfunction, iscoroutinefunction
from typing import Any

import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

SERVICES = ("routing", "dialer", "crm_bridge", "billing", "kpi")


def _calls(dependant: Dependant) -> list[Any]:
    return [dependant.call, *(call for below in dependant.dependencies for call in _calls(below))]


def _waits(call: Any) -> bool:
    return iscoroutinefunction(call) or isasyncgenfunction(call)


@pytest.mark.parametrize("service", SERVICES)
def test_routes_and_their_dependencies_are_coroutines(service: str) -> None:
    routes = [
        route
        for router in import_module(f"{service}.api").ROUTERS
        for route in router.routes
        if isinstance(route, APIRoute)
    ]
    assert routes
    plain = {
        getattr(call, "__qualname__", repr(call))
        for route in routes
        for call in _calls(route.dependant)
        if not any(map(_waits, (call, type(call).__call__)))
    }
    assert plain == set()
