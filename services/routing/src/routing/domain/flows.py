"""What a caller hears before a queue: a flow of named steps, and the interpreter that takes a call through it.

    arrived ──▶ greeting · language · menu · hours · priority ──▶ queue · callback · message · voicemail

A call keeps the flow with which it arrived: a change of the entry point is for the calls that come after it.

A menu is presented until its caller makes a valid choice, at most `tries` times: then it leads to `no_input` after
silence and to `no_match` after wrong digits. A caller who comes back to it has all its tries again.

Every valid flow ends under any input. Its menus are presented at most MOST_PRESENTATIONS times to one call; then each
of them leads to `otherwise` at once. The ways that need no choice hold no ring (`flow_faults` sees to it), so that
between two presentations no step is passed twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Final, NamedTuple, TypeAlias, assert_never

import msgspec
from msgspec.structs import replace

MOST_PRESENTATIONS: Final = 100
"""Of all the menus of a flow together, to one call."""
RECORDING_GRACE_SECONDS = 30.0
"""A recording's end is told by the PBX; this long after its limit the call is over without one."""


class Greeting(msgspec.Struct, frozen=True, kw_only=True, tag="greeting", tag_field="type"):
    """Play, then go on."""

    prompt: str
    next: str


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    digits: str
    next: str


class Menu(msgspec.Struct, frozen=True, kw_only=True, tag="menu", tag_field="type"):
    """Ask for digits. `timeout_seconds` counts from the presentation, the prompt included; `tries`: presentations until
    a valid choice. `no_input` and `no_match`: where a call goes when the last of them was answered by silence, or by
    digits that are no choice (so they are called in VoiceXML); None: to `otherwise`."""

    prompt: str
    choices: tuple[Choice, ...]
    otherwise: str
    tries: int = 3
    timeout_seconds: float = 15.0
    no_input: str | None = None
    no_match: str | None = None


class LanguageChoice(msgspec.Struct, frozen=True, kw_only=True):
    digits: str
    skill: str


class Language(msgspec.Struct, frozen=True, kw_only=True, tag="language", tag_field="type"):
    """A menu that sets the skill which the call asks for beside its queue's, and goes on to `next`. By its other ways
    the call goes on without one."""

    prompt: str
    choices: tuple[LanguageChoice, ...]
    next: str
    otherwise: str
    tries: int = 3
    timeout_seconds: float = 15.0
    no_input: str | None = None
    no_match: str | None = None


class Hours(msgspec.Struct, frozen=True, kw_only=True, tag="hours", tag_field="type"):
    """Whether the queue is open now."""

    queue_id: str
    open: str
    closed: str


class Priority(msgspec.Struct, frozen=True, kw_only=True, tag="priority", tag_field="type"):
    """Raise the call's priority by `steps` when its number is listed, or when it is a known contact's and
    `known_contacts` says so; then by the contact's own priority too."""

    next: str
    steps: int = 1
    phones: tuple[str, ...] = ()
    known_contacts: bool = False


class ToQueue(msgspec.Struct, frozen=True, kw_only=True, tag="queue", tag_field="type"):
    """The flow is done: the call is offered to a queue."""

    queue_id: str


class ToCallback(msgspec.Struct, frozen=True, kw_only=True, tag="callback", tag_field="type"):
    """The flow is done: the caller hangs up, has a place in the queue, and is called back by its rules. `otherwise`:
    where a call goes whose caller cannot be called back, such as one who withholds the number."""

    queue_id: str
    otherwise: str


class Message(msgspec.Struct, frozen=True, kw_only=True, tag="message", tag_field="type"):
    """Play and release."""

    prompt: str


class Voicemail(msgspec.Struct, frozen=True, kw_only=True, tag="voicemail", tag_field="type"):
    """Record; what is recorded becomes a case of the queue."""

    prompt: str
    queue_id: str
    max_seconds: float = 120.0


Step: TypeAlias = Greeting | Menu | Language | Hours | Priority | ToQueue | ToCallback | Message | Voicemail


class Flow(msgspec.Struct, frozen=True, kw_only=True):
    """Steps by name; a call begins at `start`."""

    start: str
    steps: dict[str, Step]


def ways(step: Step) -> Iterator[tuple[str, str]]:
    """(field, step that it leads to), in the order in which they are written. Fields of choices: `choices.0.next`."""
    if isinstance(step, Menu):
        for number, choice in enumerate(step.choices):
            yield f"choices.{number}.next", choice.next
    elif isinstance(step, Language):
        yield "next", step.next
    yield from unasked_ways(step)


def unasked_ways(step: Step) -> Iterator[tuple[str, str]]:
    """Those of its ways that a call takes without a choice of its caller."""
    match step:
        case Greeting() | Priority():
            yield "next", step.next
        case Menu() | Language():
            yield "otherwise", step.otherwise
            if step.no_input is not None:
                yield "no_input", step.no_input
            if step.no_match is not None:
                yield "no_match", step.no_match
        case Hours():
            yield "open", step.open
            yield "closed", step.closed
        case ToCallback():
            yield "otherwise", step.otherwise
        case ToQueue() | Message() | Voicemail():
            return
        case _:
            assert_never(step)


def queue_ids_of(flow: Flow) -> list[str]:
    """Every queue that the flow names."""
    return [step.queue_id for step in flow.steps.values() if isinstance(step, ToQueue | ToCallback | Hours | Voicemail)]


def asks_for_contacts(flow: Flow) -> bool:
    """Whether it matters who calls."""
    return any(isinstance(step, Priority) and step.known_contacts for step in flow.steps.values())


# where a call is


class Collecting(msgspec.Struct, frozen=True, tag="collecting"):
    """A menu has been presented; `due_at` ends the wait for digits."""

    step: str
    due_at: datetime


class Recording(msgspec.Struct, frozen=True, tag="recording"):
    """The caller speaks; `due_at` ends the wait for the recording."""

    step: str
    due_at: datetime


class Begun(msgspec.Struct, frozen=True, tag="begun"):
    """Nothing has happened yet."""


class Done(msgspec.Struct, frozen=True, tag="done"):
    """The flow is over: the last command says how."""


Position: TypeAlias = Begun | Collecting | Recording | Done


class FlowState(msgspec.Struct, frozen=True):
    """A call in its flow, and what the flow has found out so far."""

    position: Position = Begun()
    presented: dict[str, int] = {}
    """How often each menu was presented."""
    failures: int = 0
    """How many presentations of the menu that waits for digits, the last ones in a row, brought no valid choice."""
    priority: int = 0
    skills: tuple[str, ...] = ()
    no_callback: str | None = None
    """Why its caller could not be called back where the flow would have had it; None: it never came to that."""


class Caller(msgspec.Struct, frozen=True):
    """Whom a flow may know. `contact_priority`: None for somebody who is no contact of the tenant."""

    phone: str
    contact_priority: int | None = None


# what happens to it


class Arrived(msgspec.Struct, frozen=True):
    pass


class Digits(msgspec.Struct, frozen=True):
    digits: str


class TimedOut(msgspec.Struct, frozen=True):
    """`due_at` of the position has come."""


class RecordingDone(msgspec.Struct, frozen=True):
    recording: str
    seconds: float


FlowInput: TypeAlias = Arrived | Digits | TimedOut | RecordingDone


# what is to be done


class Play(msgspec.Struct, frozen=True):
    step: str
    prompt: str


class Collect(msgspec.Struct, frozen=True):
    step: str
    prompt: str
    longest: int
    """Digits of the longest choice."""
    due_at: datetime


class Record(msgspec.Struct, frozen=True):
    step: str
    prompt: str
    max_seconds: float


class Enter(msgspec.Struct, frozen=True):
    """Offer the call to this queue. Last."""

    queue_id: str


class KeepPlace(msgspec.Struct, frozen=True):
    """Offer the call to this queue, whose caller hangs up and is called back. Last."""

    step: str
    queue_id: str


class KeepVoicemail(msgspec.Struct, frozen=True):
    """What was said becomes a case of this queue; the call is released. Last."""

    queue_id: str
    recording: str
    seconds: float


class Release(msgspec.Struct, frozen=True):
    """The call is over. Last."""


Command: TypeAlias = Play | Collect | Record | Enter | KeepPlace | KeepVoicemail | Release


class Ask(NamedTuple):
    """What a flow may ask about a queue, by its id."""

    is_open: Callable[[str, datetime], bool]
    """Whether it is open at a time."""
    why_no_callback: Callable[[str], str | None]
    """Why it cannot call this caller back; None: it can."""


def advance(
    flow: Flow, state: FlowState, given: FlowInput, now: datetime, caller: Caller, ask: Ask
) -> tuple[FlowState, list[Command]]:
    """Take the call on as far as it goes without another input. An input that does not fit the position changes
    nothing. The flow must be valid."""
    match state.position, given:
        case Begun(), Arrived():
            return _go(flow, state, flow.start, now, caller, ask)
        case Collecting(step=name), Digits(digits=digits):
            return _chosen(flow, state, name, digits, now, caller, ask)
        case Collecting(step=name), TimedOut():
            return _chosen(flow, state, name, "", now, caller, ask)
        case Recording(step=name), RecordingDone(recording=recording, seconds=seconds):
            step = flow.steps[name]
            if not isinstance(step, Voicemail):
                raise AssertionError(f"step {name} records but is no voicemail")
            return replace(state, position=Done()), [KeepVoicemail(step.queue_id, recording, seconds)]
        case Recording(), TimedOut():
            return replace(state, position=Done()), [Release()]
        case _:
            return state, []


def _chosen(
    flow: Flow, state: FlowState, name: str, digits: str, now: datetime, caller: Caller, ask: Ask
) -> tuple[FlowState, list[Command]]:
    """Where these digits lead to; empty: the caller pressed nothing."""
    step = flow.steps[name]
    before, state = state, replace(state, failures=0)
    match step:
        case Menu():
            for choice in step.choices:
                if choice.digits == digits:
                    return _go(flow, state, choice.next, now, caller, ask)
        case Language():
            for language in step.choices:
                if language.digits == digits:
                    skills = (*(skill for skill in state.skills if skill not in _skills(step)), language.skill)
                    return _go(flow, replace(state, skills=skills), step.next, now, caller, ask)
        case _:
            raise AssertionError(f"step {name} collects digits but is no menu")
    failures = before.failures + 1
    if failures < step.tries:
        return _go(flow, replace(state, failures=failures), name, now, caller, ask)
    leads_to = step.no_match if digits else step.no_input
    return _go(flow, state, step.otherwise if leads_to is None else leads_to, now, caller, ask)


def _skills(step: Language) -> tuple[str, ...]:
    return tuple(choice.skill for choice in step.choices)


def _go(
    flow: Flow, state: FlowState, name: str, now: datetime, caller: Caller, ask: Ask
) -> tuple[FlowState, list[Command]]:
    """From the step on, until an input is needed or the flow is over."""
    commands: list[Command] = []
    while True:
        step = flow.steps[name]
        match step:
            case Greeting():
                commands.append(Play(name, step.prompt))
                name = step.next
            case Menu() | Language():
                if sum(state.presented.values()) >= MOST_PRESENTATIONS:
                    name = step.otherwise
                    continue
                due_at = now + timedelta(seconds=step.timeout_seconds)
                commands.append(_collect(name, step, due_at))
                counted = {**state.presented, name: state.presented.get(name, 0) + 1}
                return replace(state, position=Collecting(name, due_at), presented=counted), commands
            case Hours():
                name = step.open if ask.is_open(step.queue_id, now) else step.closed
            case Priority():
                state = replace(state, priority=state.priority + _raise(step, caller))
                name = step.next
            case ToQueue():
                commands.append(Enter(step.queue_id))
                return replace(state, position=Done()), commands
            case ToCallback():
                refused = ask.why_no_callback(step.queue_id)
                if refused is None:
                    commands.append(KeepPlace(name, step.queue_id))
                    return replace(state, position=Done(), no_callback=None), commands
                state = replace(state, no_callback=refused)
                name = step.otherwise
            case Message():
                commands += [Play(name, step.prompt), Release()]
                return replace(state, position=Done()), commands
            case Voicemail():
                due_at = now + timedelta(seconds=step.max_seconds + RECORDING_GRACE_SECONDS)
                commands.append(Record(name, step.prompt, step.max_seconds))
                return replace(state, position=Recording(name, due_at)), commands
            case _:
                assert_never(step)


def _collect(name: str, step: Menu | Language, due_at: datetime) -> Collect:
    return Collect(name, step.prompt, max(len(choice.digits) for choice in step.choices), due_at)


def awaited(flow: Flow, state: FlowState) -> Collect | Record | None:
    """The command whose outcome a call in its flow waits for."""
    match state.position:
        case Collecting(step=name, due_at=due_at):
            step = flow.steps[name]
            return _collect(name, step, due_at) if isinstance(step, Menu | Language) else None
        case Recording(step=name):
            step = flow.steps[name]
            return Record(name, step.prompt, step.max_seconds) if isinstance(step, Voicemail) else None
        case _:
            return None


def _raise(step: Priority, caller: Caller) -> int:
    listed = bool(caller.phone) and caller.phone in step.phones
    if step.known_contacts and caller.contact_priority is not None:
        return step.steps + caller.contact_priority
    return step.steps if listed else 0
