"""The replay-from-zero check from the command line: `python -m billing.replay`.

Reads the environment like the service, prints the report as JSON, and exits 0 when the ledger is what the log makes
it, else 1.
"""

from __future__ import annotations

import sys

from common.database import Database
from common.stops import command

from billing.config import Settings
from billing.service.replay_checks import Report, check

SERVICE = "billing"
"""Also its consumer group."""


async def replay(settings: Settings) -> Report:
    """One check with connections of its own."""
    async with Database(settings.database_url.get_secret_value(), source=SERVICE, max_size=2) as database:
        return await check(database, settings.kafka(), SERVICE)


def main() -> None:
    """Command line."""
    report = command(lambda: replay(Settings()))
    sys.stdout.write(report.model_dump_json(indent=2) + "\n")
    sys.exit(0 if report.equal else 1)


if __name__ == "__main__":
    main()
