"""What all sentences of an explanation say alike."""

from __future__ import annotations

from datetime import datetime


def time_of(moment: datetime) -> str:
    """To the second, with the offset from UTC."""
    return moment.isoformat(timespec="seconds")
