"""The promises of Plateau, checked from the event log alone: nothing here asks a service or shares its code.

    report = await check("127.0.0.1:9092", complete=True)
    report.violations   → [] or one sentence per broken promise, naming the ids
    report.counts       → calls_offered, calls_answered, cases_closed, charges, amount …

`complete` says that the floor has come to rest: every call must be over, every answered call linked, every closing
charged. Without it, work in progress is no violation.
"""

from __future__ import annotations

from plateau.checker.log import Log, Recorded, read
from plateau.checker.report import Report, report_of, violations

__all__ = ["Log", "Recorded", "Report", "check", "read", "report_of", "violations"]


async def check(bootstrap_servers: str, *, complete: bool = False) -> Report:
    """Read every topic from zero to its present end and verify it."""
    return report_of(await read(bootstrap_servers), complete=complete)
