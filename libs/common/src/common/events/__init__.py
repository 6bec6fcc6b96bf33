"""The catalogue of events: one module per producing service, every class frozen, past tense, versioned by name.

An event class carries its CloudEvents type in `TYPE`, its topic in `TOPIC`, and names with `subject` the aggregate it
is about (also the Kafka key unless `key` says otherwise). All times are UTC datetimes; durations are seconds as float.
"""

from __future__ import annotations

from common.events.base import Event
from common.events.billing import ChargeRecorded, ChargeReversed
from common.events.crm import (
    CaseCallLinked,
    CaseClosed,
    CaseOpened,
    CaseReopened,
    ContactCreated,
    ContactUpdated,
)
from common.events.dialer import (
    AttemptEnded,
    AttemptStarted,
    CampaignCompleted,
    CampaignPaused,
    CampaignStarted,
)
from common.events.routing import (
    AgentLoggedIn,
    AgentLoggedOut,
    AgentStateChanged,
    CallAbandoned,
    CallAnswered,
    CallArrived,
    CallAssigned,
    CallEnded,
    CallEvent,
    CallHeld,
    CallLeftInFlow,
    CallOffered,
    CallOfferMissed,
    CallOverflowed,
    CallPrompted,
    CallQueued,
    CallRecordingChanged,
    CallResumed,
    CallSupervised,
    CallWrappedUp,
    FlowEvent,
    VoicemailLeft,
)

CATALOGUE: dict[str, type[Event]] = {
    cls.TYPE: cls
    for cls in (
        CallArrived,
        CallPrompted,
        CallLeftInFlow,
        VoicemailLeft,
        CallOffered,
        CallQueued,
        CallOverflowed,
        CallAssigned,
        CallOfferMissed,
        CallAnswered,
        CallHeld,
        CallResumed,
        CallRecordingChanged,
        CallSupervised,
        CallAbandoned,
        CallEnded,
        CallWrappedUp,
        AgentLoggedIn,
        AgentStateChanged,
        AgentLoggedOut,
        ContactCreated,
        ContactUpdated,
        CaseOpened,
        CaseCallLinked,
        CaseClosed,
        CaseReopened,
        CampaignStarted,
        CampaignPaused,
        CampaignCompleted,
        AttemptStarted,
        AttemptEnded,
        ChargeRecorded,
        ChargeReversed,
    )
}
"""Every published event by its CloudEvents type. Routing's own commands are not in it: they are private to routing."""

__all__ = [
    "CATALOGUE",
    "AgentLoggedIn",
    "AgentLoggedOut",
    "AgentStateChanged",
    "AttemptEnded",
    "AttemptStarted",
    "CallAbandoned",
    "CallAnswered",
    "CallArrived",
    "CallAssigned",
    "CallEnded",
    "CallEvent",
    "CallHeld",
    "CallLeftInFlow",
    "CallOfferMissed",
    "CallOffered",
    "CallOverflowed",
    "CallPrompted",
    "CallQueued",
    "CallRecordingChanged",
    "CallResumed",
    "CallSupervised",
    "CallWrappedUp",
    "CampaignCompleted",
    "CampaignPaused",
    "CampaignStarted",
    "CaseCallLinked",
    "CaseClosed",
    "CaseOpened",
    "CaseReopened",
    "ChargeRecorded",
    "ChargeReversed",
    "ContactCreated",
    "ContactUpdated",
    "Event",
    "FlowEvent",
    "VoicemailLeft",
]
