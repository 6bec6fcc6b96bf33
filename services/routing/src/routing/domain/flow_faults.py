"""What is wrong with a flow: all of it at once, each fault with its place (`steps.main.choices.0.next`)."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

import msgspec

from routing.domain.flows import (
    Flow,
    Hours,
    Language,
    Menu,
    Priority,
    ToCallback,
    ToQueue,
    Voicemail,
    unasked_ways,
    ways,
)

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_DIGITS = re.compile(r"[0-9*#]{1,8}")
_PHONE = re.compile(r"\+[1-9][0-9]{6,14}")


class Fault(msgspec.Struct, frozen=True):
    """`field`: the place within the flow."""

    field: str
    reason: str


def faults(
    flow: Flow,
    queue_ids: Collection[str],
    skills: Collection[str] | None,
    calling_back: Collection[str] = (),
    unread: Collection[str] = (),
) -> list[Fault]:
    """Every fault, in the order of the steps; none: the flow is valid. `queue_ids` and `skills` are those that it may
    name (skills None: that is not known); `calling_back`: the queues of those that call their callers back; `unread`:
    the names of further steps, of which nobody knows what they do, so that they may lead anywhere."""
    found = list(_faults(flow, queue_ids, skills, calling_back, {*flow.steps, *unread}))
    found += _rings(flow)
    found += _unreachable(flow, unread)
    return found


def _faults(
    flow: Flow,
    queue_ids: Collection[str],
    skills: Collection[str] | None,
    calling_back: Collection[str],
    names: Collection[str],
) -> Iterator[Fault]:
    if flow.start not in names:
        yield Fault("start", f"there is no step {flow.start!r}" if flow.start else "names no step")
    for name, step in flow.steps.items():
        place = f"steps.{name}"
        if not _NAME.fullmatch(name):
            yield Fault(place, "a step's name has 1 to 63 lower-case letters, digits or hyphens")
        for field, target in ways(step):
            if not target and isinstance(step, ToCallback):
                yield Fault(f"{place}.{field}", "is a dead end: callers who withhold the number cannot be called back")
            elif not target:
                yield Fault(f"{place}.{field}", "is a dead end: it leads to no step")
            elif target not in names:
                yield Fault(f"{place}.{field}", f"there is no step {target!r}")
        if isinstance(step, ToQueue | ToCallback | Hours | Voicemail) and step.queue_id not in queue_ids:
            yield Fault(f"{place}.queue_id", f"there is no queue {step.queue_id!r}")
        elif isinstance(step, ToCallback) and step.queue_id not in calling_back:
            yield Fault(f"{place}.queue_id", f"queue {step.queue_id!r} calls nobody back: it declares no callback")
        if isinstance(step, Menu | Language):
            yield from _choices(place, step)
        if isinstance(step, Language) and skills is not None:
            for number, choice in enumerate(step.choices):
                if choice.skill not in skills:
                    yield Fault(f"{place}.choices.{number}.skill", f"unknown skill {choice.skill!r}")
        if isinstance(step, Priority):
            yield from _priority(place, step)


def _choices(place: str, step: Menu | Language) -> Iterator[Fault]:
    if not step.choices:
        yield Fault(f"{place}.choices", "offers no choice")
    if not 1 <= step.tries <= 9:
        yield Fault(f"{place}.tries", "must be a whole number from 1 to 9")
    if not 1 <= step.timeout_seconds <= 120:
        yield Fault(f"{place}.timeout_seconds", "must be from 1 to 120")
    first: dict[str, int] = {}
    for number, digits in enumerate([choice.digits for choice in step.choices]):
        field = f"{place}.choices.{number}.digits"
        if not _DIGITS.fullmatch(digits):
            yield Fault(field, f"must be 1 to 8 of 0–9, * and #, not {digits!r}")
        elif digits in first:
            yield Fault(field, f"{digits!r} is already choice {first[digits] + 1}")
        first.setdefault(digits, number)


def _priority(place: str, step: Priority) -> Iterator[Fault]:
    if not 1 <= step.steps <= 9:
        yield Fault(f"{place}.steps", "must be a whole number from 1 to 9")
    if not step.phones and not step.known_contacts:
        yield Fault(place, "is for nobody: it names neither phones nor known_contacts")
    for number, phone in enumerate(step.phones):
        if not _PHONE.fullmatch(phone):
            yield Fault(f"{place}.phones.{number}", f"must be a number such as +33639980001, not {phone!r}")


def _rings(flow: Flow) -> Iterator[Fault]:
    """Each way that closes a ring of ways which need no choice: a caller who makes none would never get out.
    Choices are bounded, by the presentations of menus."""
    done: set[str] = set()
    on_the_way: list[str] = []

    def visit(name: str) -> Iterator[Fault]:
        on_the_way.append(name)
        for field, target in unasked_ways(flow.steps[name]):
            if target in on_the_way:
                ring = " -> ".join([*on_the_way[on_the_way.index(target) :], target])
                yield Fault(f"steps.{name}.{field}", f"is a loop without an exit: {ring}")
            elif target in flow.steps and target not in done:
                yield from visit(target)
        on_the_way.pop()
        done.add(name)

    for name in flow.steps:
        if name not in done:
            yield from visit(name)


def _unreachable(flow: Flow, unread: Collection[str]) -> Iterator[Fault]:
    reached: set[str] = set()
    waiting = [flow.start] if flow.start in flow.steps else []
    if not waiting:
        return
    while waiting:
        name = waiting.pop()
        if name in unread:
            return
        if name not in reached:
            reached.add(name)
            waiting += [target for _, target in ways(flow.steps[name]) if target in flow.steps or target in unread]
    for name in flow.steps:
        if name not in reached:
            yield Fault(f"steps.{name}", "is unreachable: no way from the start leads to it")
