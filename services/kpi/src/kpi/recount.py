"""Checks the served figures against the log: `python -m kpi.recount --bootstrap host:9092 --api http://… --token …`.

Reads the whole `calls` topic as it stands, recounts it independently (`kpi.domain.recount`), asks
`GET /v1/intervals` for the same stretch, and prints one line of JSON. Exit 0 when they are equal, 1 when not.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import httpx
from aiokafka import TopicPartition
from common import envelope
from common.errors import InvalidEvent
from common.events import Event
from common.kafka import Kafka
from common.stops import command
from common.topics import BY_NAME

from kpi.domain.recount import Difference, Recount, compare
from kpi.domain.recount import recount as recount_events

__all__ = ["Difference", "Recount", "compare", "fetch_rows", "recount", "report"]

SHOWN = 50
"""Differences that a report lists; it counts all of them."""


async def recount(bootstrap_servers: str, topics: Sequence[str] = ("calls",)) -> Recount:
    """Reads the topics from their beginning to where they end now, and recounts the calls.

    Records that cannot be read are left out, as the services set them aside. Commits nothing and joins no group.
    """
    kafka = Kafka(bootstrap_servers)
    consumer = kafka.consumer(None)
    events: list[tuple[object, Event]] = []
    await consumer.start()
    try:
        partitions = [TopicPartition(name, number) for name in topics for number in range(BY_NAME[name].partitions)]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        await consumer.seek_to_beginning()
        # The position counts, not the last record: a log may end with offsets that carry none.
        while left := [each for each in partitions if await consumer.position(each) < ends[each]]:
            for partition, records in (await consumer.getmany(*left, timeout_ms=500)).items():
                for record in records:
                    if record.offset < ends[partition]:
                        try:
                            read = envelope.decode(record.headers, record.value)
                        except InvalidEvent:
                            continue
                        events.append(((read.source, read.id), read.event))
    finally:
        await kafka.leave(consumer)
    return recount_events(events)


async def fetch_rows(api: str, token: str, expected: Recount) -> list[dict[str, Any]]:
    """All rows of `GET /v1/intervals?step=15m` over the stretch that was recounted, and a day around it."""
    if not expected.intervals:
        return []
    starts = [start for _, _, start in expected.intervals]
    asked: dict[str, str | int] = {
        "from": (min(starts) - timedelta(days=1)).isoformat(),
        "to": (max(starts) + timedelta(days=1)).isoformat(),
        "step": "15m",
        "limit": 1000,
    }
    rows: list[dict[str, Any]] = []
    headers = {"authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=api, headers=headers, timeout=60, trust_env=False) as client:
        while True:
            answer = await client.get("/v1/intervals", params=asked)
            answer.raise_for_status()
            page = answer.json()
            rows += page["items"]
            if page["next_cursor"] is None:
                return rows
            asked["cursor"] = page["next_cursor"]


def report(expected: Recount, differences: Sequence[Difference]) -> dict[str, Any]:
    """The outcome as JSON-ready data."""
    return {
        "equal": not differences,
        "calls": expected.calls,
        "events": expected.events,
        "repeated": expected.repeated,
        "intervals": len(expected.intervals),
        "differences": [
            {
                "row": difference.row,
                "name": difference.name,
                "expected": str(difference.expected),
                "found": str(difference.found),
            }
            for difference in differences[:SHOWN]
        ],
        "difference_count": len(differences),
    }


async def _check(bootstrap_servers: str, api: str, token: str) -> dict[str, Any]:
    expected = await recount(bootstrap_servers)
    return report(expected, compare(expected, await fetch_rows(api, token, expected)))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m kpi.recount", description="Recounts the figures from the log.")
    parser.add_argument("--bootstrap", required=True, help="Kafka's bootstrap servers")
    parser.add_argument("--api", default="http://127.0.0.1:8105", help="where KPI serves")
    parser.add_argument("--token", default=os.environ.get("PLATEAU_TOKEN"), help="an operator's (or PLATEAU_TOKEN)")
    options = parser.parse_args()
    if not options.token:
        parser.error("an operator's token is needed: --token or PLATEAU_TOKEN")
    outcome = command(lambda: _check(options.bootstrap, options.api, options.token))
    sys.stdout.write(json.dumps(outcome) + "\n")
    sys.exit(0 if outcome["equal"] else 1)


if __name__ == "__main__":
    main()
