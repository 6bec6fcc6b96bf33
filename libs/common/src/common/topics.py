"""The one catalogue of topics: the local stack, the tests and the Kubernetes manifests read it alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from importlib.metadata import entry_points

FOR_EVER: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Topic:
    """One Kafka topic. `retention` of None keeps its records for ever."""

    name: str
    partitions: int
    retention: timedelta | None
    written_by: str

    @property
    def dead_letters(self) -> str:
        """Name of the twin for records that can never be handled."""
        return f"{self.name}.dead-letters"

    @property
    def read_by(self) -> tuple[str, ...]:
        """The installed services that subscribe to it (`common.consumer.Subscription`), by name."""
        return _readers().get(self.name, ())


TOPICS: tuple[Topic, ...] = (
    Topic("calls", 12, FOR_EVER, "routing"),
    Topic("agents", 6, timedelta(days=90), "routing"),
    Topic("queues", 3, FOR_EVER, "routing"),
    Topic("contacts", 6, timedelta(days=90), "crm-bridge"),
    Topic("cases", 6, FOR_EVER, "crm-bridge"),
    Topic("dialing", 6, timedelta(days=90), "dialer"),
    Topic("billing", 3, FOR_EVER, "billing"),
    Topic("routing-inputs", 12, timedelta(days=30), "routing"),
)
"""`calls`, `queues`, `cases` and `billing` are kept for ever: invoices and figures are reproduced from them."""

DEAD_LETTER_PARTITIONS = 1
DEAD_LETTER_RETENTION = timedelta(days=90)

BY_NAME: dict[str, Topic] = {topic.name: topic for topic in TOPICS}


@cache
def _readers() -> Mapping[str, tuple[str, ...]]:
    # Services name their subscriptions as entry points: so nothing here has to know the services.
    found: dict[str, set[str]] = {}
    for service in entry_points(group="plateau.subscriptions"):
        for subscription in service.load():
            for topic in subscription.topics:
                found.setdefault(topic, set()).add(service.name)
    return {topic: tuple(sorted(services)) for topic, services in found.items()}


def all_names() -> list[str]:
    """Every topic and its dead-letter twin."""
    return [name for topic in TOPICS for name in (topic.name, topic.dead_letters)]
