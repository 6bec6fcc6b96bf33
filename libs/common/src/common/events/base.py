"""What every event has."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, ClassVar

import msgspec

Moment = Annotated[datetime, msgspec.Meta(tz=True)]
"""A point in time that knows its zone; one without is refused on reading."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """A fact that happened. Immutable; unknown fields are ignored on reading, so that old code reads new events."""

    TYPE: ClassVar[str]
    TOPIC: ClassVar[str]

    tenant_id: str

    @property
    def subject(self) -> str:
        """Id of the aggregate that the event is about."""
        raise AssertionError(f"{type(self).__name__} names no subject")

    @property
    def key(self) -> str:
        """Kafka key: events of one key keep their order."""
        return self.subject
