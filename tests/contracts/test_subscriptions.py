"""Who reads which topic is said once, by the services that do: the documents follow."""

from __future__ import annotations

import ast
import json
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

import pytest
from common.consumer import Subscription
from common.topics import BY_NAME, TOPICS

ROOT = Path(__file__).parents[2]
SERVICES = sorted(path.name for path in (ROOT / "services").iterdir() if (path / "pyproject.toml").exists())


def declared(service: str) -> tuple[EntryPoint, tuple[Subscription, ...]]:
    """The entry point by which the service names its subscriptions, and these."""
    (named,) = entry_points(group="plateau.subscriptions", name=service)
    return named, named.load()


def wired(service: str) -> list[Subscription]:
    """The subscriptions that the service's `main.py` makes consumers of."""
    main = import_module(f"{service.replace('-', '_')}.main")
    assert main.__file__ is not None
    calls = [node for node in ast.walk(ast.parse(Path(main.__file__).read_text())) if isinstance(node, ast.Call)]
    made = [call for call in calls if isinstance(call.func, ast.Attribute) and call.func.attr == "consumer"]
    return [eval(ast.unparse(call.args[0]), vars(main)) for call in made]


def test_every_service_names_its_subscriptions() -> None:
    assert sorted(point.name for point in entry_points(group="plateau.subscriptions")) == SERVICES


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_consumes_what_it_declares(service: str) -> None:
    named, subscriptions = declared(service)
    assert named.value == f"{service.replace('-', '_')}.consumer:SUBSCRIPTIONS"
    assert wired(service) == list(subscriptions)
    for subscription in subscriptions:
        assert set(subscription.handles) <= set(subscription.catalogue.values())


def test_a_topic_is_read_by_the_services_that_subscribe_to_it() -> None:
    for topic in TOPICS:
        readers = [name for name in SERVICES if any(topic.name in one.topics for one in declared(name)[1])]
        assert list(topic.read_by) == readers
        assert readers, f"{topic.name} has no reader"


def table() -> dict[str, tuple[set[str], set[str]]]:
    """What the README says that each service consumes and produces."""
    rows = [
        line.split("|") for line in (ROOT / "README.md").read_text().splitlines() if line.startswith("| `services/")
    ]
    return {
        row[1].strip(" `").removeprefix("services/"): (set(row[2].split("`")[1::2]), set(row[3].split("`")[1::2]))
        for row in rows
    }


def test_the_readme_and_the_asyncapi_document_name_the_same_readers_and_writers() -> None:
    reads = {name: {topic.name for topic in TOPICS if name in topic.read_by} for name in SERVICES}
    # What a service writes for itself alone stands under what it consumes.
    writes = {
        name: {topic.name for topic in TOPICS if topic.written_by == name and topic.read_by != (name,)}
        for name in SERVICES
    }
    assert table() == {name: (reads[name], writes[name]) for name in SERVICES}
    operations: dict[str, Any] = json.loads((ROOT / "docs" / "asyncapi.json").read_text())["operations"]
    received = {name for name, operation in operations.items() if operation["action"] == "receive"}
    assert received == {f"{name}.reads.{topic}" for name in SERVICES for topic in reads[name]}
    assert {name.rpartition(".")[2] for name in operations} == set(BY_NAME)
