"""What an operator may declare: checked as a whole before anything is stored."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

from common.errors import Conflict, Invalid
from common.requirements import WrongRequirement, mentions, skills_of

from routing.domain.configuration import (
    Announcement,
    CallbackRules,
    Closed,
    OverflowRule,
    Queue,
    Relaxation,
    ToCallback,
    ToSite,
    Weights,
)


class Faults:
    """Everything wrong with one declaration, found check by check, told at once."""

    def __init__(self) -> None:
        self._found: list[dict[str, Any]] = []
        self._said: list[str] = []

    @contextmanager
    def collect(self) -> Iterator[None]:
        """Go on after a check that raises Invalid."""
        try:
            yield
        except Invalid as wrong:
            self._said.append(wrong.detail)
            self._found += wrong.errors or [{"field": wrong.field, "reason": wrong.detail}]

    def check(self) -> None:
        """Raises Invalid with every fault, if there is any."""
        if self._found:
            raise Invalid("; ".join(self._said), field=self._found[0]["field"], errors=self._found)


def wrong_weights(weights: Weights | None, others: Iterable[Weights | None], pool_id: str) -> list[dict[str, Any]]:
    """Everything wrong with a queue's weights, each with its place. `others`: those of the pool's other queues."""
    if weights is None:
        return []
    wrong = []
    if weights.late_call_cost is not None and weights.service_level_target is None:
        reason = "without a service_level_target no call is late"
        wrong.append({"field": "weights.late_call_cost", "reason": reason})
    if weightless([None if one is None else one.lost_call_cost for one in (weights, *others)]):
        reason = f"the weights of pool {pool_id} sum to nothing"
        wrong.append({"field": "weights.lost_call_cost", "reason": reason})
    return wrong


def weightless(lost_call_costs: Iterable[float | None]) -> bool:
    """Whether all queues of a pool have weights (one without: None) and no lost call costs anything."""
    return all(cost == 0 for cost in lost_call_costs)


def check_skills(field: str, named: Iterable[str], declared: Iterable[str], pool_id: str) -> None:
    """Raises Invalid, naming each skill that the pool does not declare."""
    unknown = sorted(set(named) - set(declared))
    if unknown:
        listed = ", ".join(repr(skill) for skill in unknown)
        raise Invalid(
            f"pool {pool_id} declares no skill {listed}",
            field=field,
            errors=[{"field": field, "reason": f"unknown skill {skill!r}"} for skill in unknown],
        )


def check_requirements(
    required_skills: Sequence[str],
    requirement: str | None,
    relaxations: Sequence[Relaxation],
    declared: Iterable[str],
    pool_id: str,
) -> None:
    """Raises Invalid, naming everything wrong with who may serve a queue, each by its place."""
    known = set(declared)
    wrong: list[dict[str, Any]] = []
    texts = [] if requirement is None else [("requirement", requirement)]
    texts += [(f"relaxations.{n}.requirement", one.requirement) for n, one in enumerate(relaxations)]
    for field, text in texts:
        try:
            named = mentions(text)
        except WrongRequirement as error:
            wrong.append({"field": field, "reason": str(error)})
            continue
        for skill, column in named:
            if skill not in known:
                reason = f"column {column}: pool {pool_id} declares no skill {skill!r}"
                wrong.append({"field": field, "reason": reason})
    wrong += [
        {"field": "required_skills", "reason": f"pool {pool_id} declares no skill {skill!r}"}
        for skill in sorted(set(required_skills) - known)
    ]
    if requirement is not None and required_skills:
        wrong.append({"field": "required_skills", "reason": "say it here or as a requirement, not both"})
    for number, (before, after) in enumerate(pairwise(relaxations), 1):
        if after.after_seconds <= before.after_seconds:
            reason = f"must be later than the one before, {before.after_seconds:g}"
            wrong.append({"field": f"relaxations.{number}.after_seconds", "reason": reason})
    refuse(wrong)


def refuse(wrong: Sequence[dict[str, Any]]) -> None:
    """Raises Invalid if anything is wrong, naming it all by its place."""
    if wrong:
        detail = "; ".join(f"{one['field']}: {one['reason']}" for one in wrong)
        raise Invalid(detail, field=wrong[0]["field"], errors=list(wrong))


def wrong_waiting(
    channel: str,
    callback: CallbackRules | None,
    announcements: Sequence[Announcement],
    overflows: Sequence[OverflowRule],
) -> list[dict[str, Any]]:
    """Everything wrong with what happens to callers whom no agent takes at once, each with its place."""
    wrong: list[dict[str, Any]] = []
    if callback is not None and channel != "voice":
        wrong.append({"field": "callback", "reason": f"a queue for {channel} calls nobody back"})
    if callback is not None and callback.attempts > 1 and callback.retry_seconds >= callback.valid_seconds:
        reason = f"must be shorter than valid_seconds, {callback.valid_seconds:g}, or nothing is tried again"
        wrong.append({"field": "callback.retry_seconds", "reason": reason})
    for number, one in enumerate(announcements):
        if channel != "voice":
            wrong.append({"field": f"announcements.{number}", "reason": f"a queue for {channel} announces nothing"})
        if len(set(one.tell)) < len(one.tell):
            wrong.append({"field": f"announcements.{number}.tell", "reason": "says the same twice"})
    for number, rule in enumerate(overflows):
        if isinstance(rule.to, ToCallback) and callback is None:
            wrong.append({"field": f"overflows.{number}.to", "reason": "the queue has no callback rules"})
        if isinstance(rule.to, ToSite) and isinstance(rule.when, Closed):
            wrong.append({"field": f"overflows.{number}.to", "reason": "no site serves a queue that is closed"})
    return wrong


def skills_named(queue: Queue) -> set[str]:
    """Every skill that the queue's rings name."""
    return {skill for ring in queue.rings() for skill in skills_of(ring)}


def check_unmoved(kind: str, item_id: str, field: str, before: str, after: str) -> None:
    """Raises Conflict: calls and agents in a queue's pool cannot change owner while they live."""
    if before != after:
        raise Conflict(f"{kind} {item_id} belongs to {field.removesuffix('_id')} {before}; it cannot move", field=field)
