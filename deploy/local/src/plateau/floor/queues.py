"""Queues of a floor file."""

from __future__ import annotations

from typing import Final

from plateau.floor import requirements
from plateau.floor.document import Fields
from plateau.floor.draft import DAY_SECONDS, SHORTEST, Draft, renamed
from plateau.floor.hours import read_hours
from plateau.floor.model import Overflow, Queue
from plateau.floor.overflows import read_overflows, read_split
from plateau.floor.sites import read_cover
from plateau.floor.waiting import read_announcements, read_callback

CHANNELS: Final = ("voice", "chat", "email", "post")
RECORDING: Final = ("never", "with_consent", "always")
MOST_SKILLS: Final = 50


def read_queue(draft: Draft, tenant_id: str, name: str, fields: Fields) -> Queue:
    skills = fields.texts("required_skills", (), most=MOST_SKILLS)
    for skill, place in skills:
        draft.skill_places["queue", name, skill] = place
    for skill, place in requirements.skill_places(fields):
        draft.skill_places.setdefault(("queue", name, skill), place)
    requirement = requirements.requirement(fields)
    if fields.node_of("requirement") is not None and skills:
        fields.refuse("required_skills", "say it here or as a requirement, not both")
    pool_id = fields.text("pool")
    queue = Queue(
        id=name,
        tenant_id=tenant_id,
        pool_id=pool_id,
        channel=fields.text("channel", "voice", check=_channel),
        required_skills=tuple(skill for skill, _ in skills),
        priority=fields.integer("priority", 5, low=0, high=9),
        ageing_seconds_per_priority=fields.number("ageing_seconds_per_priority", 60, low=SHORTEST, high=DAY_SECONDS),
        service_level_seconds=fields.number("service_level_seconds", 20, low=SHORTEST, high=DAY_SECONDS),
        short_abandon_seconds=fields.number("short_abandon_seconds", 5, low=0, high=DAY_SECONDS),
        offer_timeout_seconds=fields.number("offer_timeout_seconds", 20, low=SHORTEST, high=DAY_SECONDS),
        wrap_up_seconds=fields.number("wrap_up_seconds", 60, low=0, high=DAY_SECONDS),
        max_wait_seconds=fields.optional_number("max_wait_seconds", low=SHORTEST, high=DAY_SECONDS),
        overflow=_overflow(draft, fields),
        recording=fields.text("recording", "never", check=_recording),
        hours=read_hours(fields),
        requirement=requirement,
        relaxations=requirements.relaxations(fields, DAY_SECONDS),
        agent_order=fields.text("agent_order", "longest_idle", check=requirements.agent_order),
        overflows=read_overflows(fields),
        sticky_seconds=fields.number("sticky_seconds", 0, low=0, high=DAY_SECONDS),
        split=read_split(fields),
        cover=read_cover(fields),
        weights=_weights(fields),
        callback=read_callback(fields),
        announcements=read_announcements(fields),
        missed_offers_before_break=fields.integer("missed_offers_before_break", 1, low=1, high=20),
        place=fields.place,
        places=renamed(fields.places, {"pool": "pool_id"}),
    )
    fields.done()
    return queue


def _weights(queue: Fields) -> dict[str, float | None] | None:
    node = queue.node_of("weights")
    if node is None:
        return None
    fields = queue.document.fields(node, queue.path_of("weights"))
    weights = {
        "lost_call_cost": fields.number("lost_call_cost", 1, low=0, high=1e6),
        "calls_per_hour": fields.optional_number("calls_per_hour", low=0, high=1e6),
        "handling_seconds": fields.optional_number("handling_seconds", low=SHORTEST, high=DAY_SECONDS),
        "patience_seconds": fields.optional_number("patience_seconds", low=SHORTEST, high=DAY_SECONDS),
        "service_level_target": fields.optional_number("service_level_target", low=0.01, high=0.99),
        "late_call_cost": fields.optional_number("late_call_cost", low=0, high=1e6),
    }
    if "late_call_cost" in fields.places and "service_level_target" not in fields.places:
        fields.refuse("late_call_cost", "needs a service_level_target: without one no call is late")
    for name, place in fields.places.items():
        queue.places[f"weights.{name}"] = place
    fields.done()
    return weights


def _overflow(draft: Draft, queue: Fields) -> Overflow | None:
    node = queue.node_of("overflow")
    if node is None:
        return None
    fields = draft.document.fields(node, queue.path_of("overflow"))
    overflow = Overflow(
        queue_id=fields.text("queue"), after_seconds=fields.number("after_seconds", low=0, high=DAY_SECONDS)
    )
    queue.places["overflow"] = queue.places["overflow.queue_id"] = fields.places.get("queue", fields.place)
    fields.done()
    return overflow


def _channel(text: str) -> str:
    if text not in CHANNELS:
        raise ValueError(f"must be one of {', '.join(CHANNELS)}")
    return text


def _recording(text: str) -> str:
    if text not in RECORDING:
        raise ValueError(f"must be one of {', '.join(RECORDING)}")
    return text
