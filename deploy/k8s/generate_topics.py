"""Writes `base/topics.yaml`: the topic catalogue (`common.topics`) as Strimzi `KafkaTopic`s.

python deploy/k8s/generate_topics.py            (a test holds the committed file current)
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml
from common.topics import DEAD_LETTER_PARTITIONS, DEAD_LETTER_RETENTION, TOPICS

FILE = Path(__file__).parent / "base" / "topics.yaml"
HEADER = "# Generated from common.topics by deploy/k8s/generate_topics.py: edit the catalogue, not this file.\n"

REPLICAS = 3
IN_SYNC = 2
"""With producers' `acks=all`, an acknowledged record outlives the loss of any one broker."""


def _resource(name: str, partitions: int, retention: timedelta | None) -> dict[str, Any]:
    milliseconds = -1 if retention is None else retention // timedelta(milliseconds=1)
    return {
        "apiVersion": "kafka.strimzi.io/v1",
        "kind": "KafkaTopic",
        "metadata": {"name": name, "labels": {"strimzi.io/cluster": "plateau"}},
        "spec": {
            "partitions": partitions,
            "replicas": REPLICAS,
            "config": {
                "cleanup.policy": "delete",
                "min.insync.replicas": IN_SYNC,
                "retention.bytes": -1,
                "retention.ms": milliseconds,
            },
        },
    }


def resources() -> list[dict[str, Any]]:
    """Every topic of the catalogue, each followed by its dead-letter twin."""
    made = []
    for topic in TOPICS:
        made.append(_resource(topic.name, topic.partitions, topic.retention))
        made.append(_resource(topic.dead_letters, DEAD_LETTER_PARTITIONS, DEAD_LETTER_RETENTION))
    return made


def rendered() -> str:
    """The content of the file."""
    return HEADER + yaml.safe_dump_all(resources(), sort_keys=False)


if __name__ == "__main__":
    FILE.write_text(rendered())
