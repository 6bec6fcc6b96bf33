"""The one catalogue of topics: the local stack, the tests and the Kubernetes manifests read it alike."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

FOR_EVER: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Topic:
    """One Kafka topic. `retention` of None keeps its records for ever."""

    name: str
    partitions: int
    retention: timedelta | None
    written_by: str
    read_by: tuple[str, ...]

    @property
    def dead_letters(self) -> str:
        """Name of the twin for records that can never be handled."""
        return f"{self.name}.dead-letters"


TOPICS: tuple[Topic, ...] = (
    Topic("calls", 12, FOR_EVER, "routing", ("dialer", "crm-bridge", "billing", "kpi")),
    Topic("agents", 6, timedelta(days=90), "routing", ("dialer", "billing", "kpi")),
    Topic("queues", 3, FOR_EVER, "routing", ("kpi",)),
    Topic("contacts", 6, timedelta(days=90), "crm-bridge", ("routing", "dialer")),
    Topic("cases", 6, FOR_EVER, "crm-bridge", ("billing", "kpi")),
    Topic("dialing", 6, timedelta(days=90), "dialer", ("crm-bridge", "billing", "kpi")),
    Topic("billing", 3, FOR_EVER, "billing", ("crm-bridge", "kpi")),
    Topic("routing-inputs", 12, timedelta(days=30), "routing", ("routing",)),
)
"""`calls`, `queues`, `cases` and `billing` are kept for ever: invoices and figures are reproduced from them."""

DEAD_LETTER_PARTITIONS = 1
DEAD_LETTER_RETENTION = timedelta(days=90)

BY_NAME: dict[str, Topic] = {topic.name: topic for topic in TOPICS}


def all_names() -> list[str]:
    """Every topic and its dead-letter twin."""
    return [name for topic in TOPICS for name in (topic.name, topic.dead_letters)]
