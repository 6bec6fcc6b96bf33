"""Flows of entry points: every fault is found at its place, and every valid flow ends whatever the caller does."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any
from xml.etree import ElementTree

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from routing.domain import flows
from routing.domain.flow_drawing import entry_point_svg, svg
from routing.domain.flow_faults import faults
from routing.domain.flows import (
    Arrived,
    Ask,
    Caller,
    Collect,
    Collecting,
    Digits,
    Done,
    Enter,
    Flow,
    FlowState,
    KeepPlace,
    KeepVoicemail,
    Play,
    Record,
    Recording,
    RecordingDone,
    Release,
    TimedOut,
    advance,
)

from .floors import START

QUEUES = ["sales", "support"]
SKILLS = ["french", "english"]
CALLER = Caller("+33639980001")
ASK = Ask(is_open=lambda *_: True, why_no_callback=lambda _: None)


def flow(start: str = "a", **steps: flows.Step) -> Flow:
    return Flow(start=start, steps={name.replace("_", "-"): step for name, step in steps.items()})


def menu(
    otherwise: str = "end", tries: int = 2, no_input: str | None = None, no_match: str | None = None, **choices: str
) -> flows.Menu:
    """Choices as `d1="sales"`."""
    return flows.Menu(
        prompt="which",
        choices=tuple(flows.Choice(digits=digits[1:], next=target) for digits, target in choices.items()),
        otherwise=otherwise,
        tries=tries,
        no_input=no_input,
        no_match=no_match,
    )


def language(*, otherwise: str = "end", no_input: str | None = None, no_match: str | None = None) -> flows.Language:
    """Of two tries; it goes on to `end`."""
    return flows.Language(
        prompt="lang",
        choices=(FRENCH, ENGLISH),
        next="end",
        otherwise=otherwise,
        no_input=no_input,
        no_match=no_match,
        tries=2,
    )


GREETING = flows.Greeting(prompt="hello", next="end")
END = flows.ToQueue(queue_id="sales")
BYE = flows.Message(prompt="bye")
ENGLISH = flows.LanguageChoice(digits="2", skill="english")
FRENCH = flows.LanguageChoice(digits="1", skill="french")


@pytest.mark.parametrize(
    ("wrong", "places"),
    [
        (flow("b", a=END), ["start"]),
        (flow(a=flows.Greeting(prompt="x", next="nowhere")), ["steps.a.next"]),
        (flow(a=flows.Greeting(prompt="x", next="")), ["steps.a.next"]),
        (flow(a=flows.ToQueue(queue_id="unknown")), ["steps.a.queue_id"]),
        (flow(a=flows.Voicemail(prompt="x", queue_id="unknown")), ["steps.a.queue_id"]),
        (flow(a=flows.ToCallback(queue_id="sales", otherwise="")), ["steps.a.otherwise"]),
        (flow(a=flows.ToCallback(queue_id="sales", otherwise="gone")), ["steps.a.otherwise"]),
        (flow(a=flows.ToCallback(queue_id="sales", otherwise="a")), ["steps.a.otherwise"]),
        (flow(a=flows.ToCallback(queue_id="support", otherwise="end"), end=END), ["steps.a.queue_id"]),
        (flow(a=flows.ToCallback(queue_id="unknown", otherwise="end"), end=END), ["steps.a.queue_id"]),
        (flow(a=END, b=BYE), ["steps.b"]),
        (flow(a=flows.Greeting(prompt="x", next="a")), ["steps.a.next"]),
        (flow(a=menu("a", d1="end"), end=END), ["steps.a.otherwise"]),
        (flow(a=menu("b", d1="end"), b=flows.Greeting(prompt="x", next="a"), end=END), ["steps.b.next"]),
        (flow(a=menu(no_input="a", no_match="gone", d1="end"), end=END), ["steps.a.no_match", "steps.a.no_input"]),
        (flow(a=menu(no_match="", d1="end"), end=END), ["steps.a.no_match"]),
        (flow(a=menu(no_match="b", d1="end"), b=flows.Greeting(prompt="x", next="a"), end=END), ["steps.b.next"]),
        (flow(a=language(no_input="gone", no_match="a"), end=END), ["steps.a.no_input", "steps.a.no_match"]),
        (flow(a=menu(d1="end", dA="end"), end=END), ["steps.a.choices.1.digits"]),
        (
            flow(
                a=flows.Menu(
                    prompt="x",
                    choices=(flows.Choice(digits="1", next="end"), flows.Choice(digits="1", next="end")),
                    otherwise="end",
                ),
                end=END,
            ),
            ["steps.a.choices.1.digits"],
        ),
        (flow(a=menu(), end=END), ["steps.a.choices"]),
        (flow(a=menu(tries=0, d1="end"), end=END), ["steps.a.tries"]),
        (
            flow(
                a=flows.Language(
                    prompt="x",
                    choices=(flows.LanguageChoice(digits="1", skill="klingon"),),
                    next="end",
                    otherwise="end",
                ),
                end=END,
            ),
            ["steps.a.choices.0.skill"],
        ),
        (flow(a=flows.Priority(next="end"), end=END), ["steps.a"]),
        (flow(a=flows.Priority(next="end", phones=("0639",)), end=END), ["steps.a.phones.0"]),
        (
            flow(a=menu("gone", d1="", d2="end"), end=flows.ToQueue(queue_id="gone"), lost=BYE),
            ["steps.a.choices.0.next", "steps.a.otherwise", "steps.end.queue_id", "steps.lost"],
        ),
    ],
)
def test_every_fault_is_listed_by_its_place(wrong: Flow, places: list[str]) -> None:
    assert [fault.field for fault in faults(wrong, QUEUES, SKILLS, ["sales"])] == places


def test_a_caller_chooses_a_language_and_a_queue() -> None:
    """Given a flow of greeting, language, menu and queue; when the caller presses 2 and 1; then the call enters the
    queue with the skill of the language."""
    wanted = flow(
        a=flows.Greeting(prompt="hello", next="lang"),
        lang=flows.Language(prompt="lang", choices=(FRENCH, ENGLISH), next="m", otherwise="m"),
        m=menu(d1="end", d2="vm"),
        end=END,
        vm=flows.Voicemail(prompt="speak", queue_id="support"),
    )
    assert faults(wanted, QUEUES, SKILLS) == []
    state, commands = run(wanted, FlowState(), Arrived())
    due = START + timedelta(seconds=15)
    assert commands == [Play("a", "hello"), Collect("lang", "lang", 1, due)]
    state, commands = run(wanted, state, Digits("2"))
    assert (state.skills, commands) == (("english",), [Collect("m", "which", 1, due)])
    ended, commands = run(wanted, state, Digits("1"))
    assert (ended.position, commands) == (Done(), [Enter("sales")])
    state, commands = run(wanted, state, Digits("2"))
    assert commands == [Record("vm", "speak", 120.0)]
    ended, commands = run(wanted, state, RecordingDone("file-1", 12.5))
    assert (ended.position, commands) == (Done(), [KeepVoicemail("support", "file-1", 12.5)])
    ended, commands = run(wanted, state, TimedOut())
    assert (ended.position, commands) == (Done(), [Release()])


ASKING = (
    menu(otherwise="end", no_input="silent", no_match="wrong", d1="end"),
    language(otherwise="end", no_input="silent", no_match="wrong"),
)
SILENT, WRONG = flows.Message(prompt="silent"), flows.Message(prompt="wrong")


@pytest.mark.parametrize("asking", ASKING, ids=["menu", "language"])
@pytest.mark.parametrize(
    ("given", "prompt"),
    [
        ([TimedOut(), TimedOut()], "silent"),
        ([Digits(""), Digits("")], "silent"),
        ([Digits("7"), Digits("77")], "wrong"),
        ([TimedOut(), Digits("7")], "wrong"),
        ([Digits("7"), TimedOut()], "silent"),
    ],
)
def test_silence_and_digits_that_are_no_choice_lead_to_steps_of_their_own(
    asking: flows.Step, given: list[flows.FlowInput], prompt: str
) -> None:
    """Given a menu of two tries; when the caller makes no valid choice twice; then what they did last decides."""
    wanted = flow(a=asking, end=END, silent=SILENT, wrong=WRONG)
    assert faults(wanted, QUEUES, SKILLS) == []
    state, _ = run(wanted, FlowState(), Arrived())
    state, commands = run(wanted, state, given[0])
    assert isinstance(commands[0], Collect)
    state, commands = run(wanted, state, given[1])
    assert (state.position, commands) == (Done(), [Play(prompt, prompt), Release()])


@pytest.mark.parametrize("pressed", [TimedOut(), Digits("7")])
def test_without_steps_of_their_own_both_lead_to_otherwise(pressed: flows.FlowInput) -> None:
    wanted = flow(a=menu("bye", tries=2, d1="end"), end=END, bye=BYE)
    state, _ = run(wanted, FlowState(), Arrived())
    state, _ = run(wanted, state, pressed)
    state, commands = run(wanted, state, pressed)
    assert (state.position, commands) == (Done(), [Play("bye", "bye"), Release()])


def test_a_valid_return_to_a_menu_uses_up_none_of_its_tries() -> None:
    """Given two menus of two tries that lead to each other; when the caller goes to and fro ten times and each time is
    silent once; then both are still presented, and only two failures in a row lead elsewhere."""
    wanted = flow(a=menu("bye", d1="b"), b=menu("bye", d1="a", d2="end"), end=END, bye=BYE)
    assert faults(wanted, QUEUES, SKILLS) == []
    state, _ = run(wanted, FlowState(), Arrived())
    for name in ("a", "b") * 10:
        state, commands = run(wanted, state, TimedOut())
        assert commands == [Collect(name, "which", 1, START + timedelta(seconds=15))]
        state, _ = run(wanted, state, Digits("1"))
    again, _ = run(wanted, state, Digits("7"))
    assert run(wanted, again, TimedOut())[1] == [Play("bye", "bye"), Release()]


def test_the_menus_of_a_flow_are_presented_so_often_to_one_call() -> None:
    """Given a caller who goes back to the start with every choice; when the menus have been presented as often as they
    are; then the call goes on by the menu's `otherwise`."""
    wanted = flow(
        a=flows.Greeting(prompt="hello", next="m"),
        m=menu("end", no_input="bye", no_match="bye", d9="a"),
        end=END,
        bye=BYE,
    )
    assert faults(wanted, QUEUES, SKILLS) == []
    state, _ = run(wanted, FlowState(), Arrived())
    for _ in range(flows.MOST_PRESENTATIONS - 1):
        state, commands = run(wanted, state, Digits("9"))
        assert isinstance(commands[-1], Collect)
    state, commands = run(wanted, state, Digits("9"))
    assert (state.position, commands) == (Done(), [Play("a", "hello"), Enter("sales")])


def test_calls_that_were_saved_before_menus_had_these_ways_go_on() -> None:
    saved = (
        b'{"start":"a","steps":{"a":{"type":"menu","prompt":"which","choices":[{"digits":"1","next":"end"}],'
        b'"otherwise":"bye","tries":2,"timeout_seconds":15},"end":{"type":"queue","queue_id":"sales"},'
        b'"bye":{"type":"message","prompt":"bye"}}}'
    )
    wanted = msgspec.json.decode(saved, type=Flow)
    at = b'{"position":{"type":"collecting","step":"a","due_at":"2026-03-02T09:00:15Z"},"presented":{"a":2}}'
    state = msgspec.json.decode(at, type=FlowState)
    assert faults(wanted, QUEUES, SKILLS) == []
    assert run(wanted, state, Digits("1"))[1] == [Enter("sales")]
    state, _ = run(wanted, state, TimedOut())
    assert run(wanted, state, TimedOut())[1] == [Play("bye", "bye"), Release()]


@pytest.mark.parametrize(
    ("refused", "last"), [(None, KeepPlace("a", "sales")), ("no_phone", Enter("sales")), ("draining", Enter("sales"))]
)
def test_a_caller_who_cannot_be_called_back_goes_on_as_the_flow_says(refused: str | None, last: object) -> None:
    wanted = flow(a=flows.ToCallback(queue_id="sales", otherwise="end"), end=END)
    assert faults(wanted, QUEUES, SKILLS, ["sales"]) == []
    asked: list[str] = []

    def why_not(queue_id: str) -> str | None:
        asked.append(queue_id)
        return refused

    ask = ASK._replace(why_no_callback=why_not)
    state, commands = advance(wanted, FlowState(), Arrived(), START, CALLER, ask)
    assert (state.position, state.no_callback, commands, asked) == (Done(), refused, [last], ["sales"])


@pytest.mark.parametrize(("opened", "queue_id"), [(True, "sales"), (False, "support")])
def test_hours_lead_to_one_of_two_steps(opened: bool, queue_id: str) -> None:
    asked = []

    def is_open(queue: str, now: object) -> bool:
        asked.append((queue, now))
        return opened

    wanted = flow(
        a=flows.Hours(queue_id="sales", open="day", closed="night"),
        day=END,
        night=flows.ToQueue(queue_id="support"),
    )
    _, commands = advance(wanted, FlowState(), Arrived(), START, CALLER, ASK._replace(is_open=is_open))
    assert (commands, asked) == ([Enter(queue_id)], [("sales", START)])


@pytest.mark.parametrize(
    ("caller", "priority"),
    [
        (Caller("+33639980001"), 2),
        (Caller("+33639980002"), 0),
        (Caller("+33639980002", contact_priority=0), 2),
        (Caller("+33639980002", contact_priority=5), 7),
        (Caller(""), 0),
    ],
)
def test_priority_is_raised_for_listed_numbers_and_known_contacts(caller: Caller, priority: int) -> None:
    wanted = flow(
        a=flows.Priority(next="end", steps=2, phones=("+33639980001",), known_contacts=True),
        end=END,
    )
    state, _ = advance(wanted, FlowState(), Arrived(), START, caller, ASK)
    assert state.priority == priority


def run(
    wanted: Flow, state: FlowState, happened: flows.FlowInput, ask: Ask = ASK
) -> tuple[FlowState, list[flows.Command]]:
    return advance(wanted, state, happened, START, CALLER, ask)


NAMES = ["a", "b", "c", "d", "e", "f"]
targets = st.sampled_from(NAMES)
pressed = st.sampled_from(["1", "2", "3", "*"])
heard = st.sampled_from(["1", "2", "3", "*", "12", ""])


def _choices(
    kind: type[flows.Choice] | type[flows.LanguageChoice], field: str, values: st.SearchStrategy[str]
) -> st.SearchStrategy[Any]:
    made = st.dictionaries(pressed, values, min_size=1, max_size=3)
    return made.map(lambda chosen: tuple(kind(digits=digits, **{field: value}) for digits, value in chosen.items()))


steps = st.one_of(
    st.builds(flows.Greeting, prompt=st.just("x"), next=targets),
    st.builds(
        flows.Menu,
        prompt=st.just("x"),
        choices=_choices(flows.Choice, "next", targets),
        otherwise=targets,
        tries=st.integers(1, 3),
        no_input=st.none() | targets,
        no_match=st.none() | targets,
    ),
    st.builds(
        flows.Language,
        prompt=st.just("x"),
        choices=_choices(flows.LanguageChoice, "skill", st.sampled_from(SKILLS)),
        next=targets,
        otherwise=targets,
        tries=st.integers(1, 3),
        no_input=st.none() | targets,
        no_match=st.none() | targets,
    ),
    st.builds(flows.Hours, queue_id=st.just("sales"), open=targets, closed=targets),
    st.builds(flows.Priority, next=targets, known_contacts=st.just(True)),
    st.just(END),
    st.just(BYE),
    st.builds(flows.Voicemail, prompt=st.just("x"), queue_id=st.just("support")),
    st.builds(flows.ToCallback, queue_id=st.just("sales"), otherwise=targets),
)
events = st.one_of(st.builds(Digits, heard), st.just(TimedOut()), st.just(RecordingDone("r", 1.0)), st.just(Arrived()))


@st.composite
def valid_flows(draw: st.DrawFn) -> Flow:
    """Any steps, mended until nothing is wrong: what is faulty becomes an end, what is unreachable goes."""
    made: dict[str, flows.Step] = {name: draw(steps) for name in NAMES}
    while found := faults(Flow(start="a", steps=made), QUEUES, SKILLS, QUEUES):
        for fault in found:
            name = fault.field.split(".")[1]
            if fault.reason.startswith("is unreachable"):
                made.pop(name, None)
            else:
                made[name] = END
    return Flow(start="a", steps=made)


@given(valid_flows(), st.sampled_from([None, "no_phone"]), st.lists(events, min_size=1, max_size=8))
def test_every_valid_flow_ends_or_reaches_a_queue(wanted: Flow, refused: str | None, habit: list[Any]) -> None:
    """Given any valid flow; when the caller does the same few things over and over, whatever they are, for as long as
    the flow waits for something; then it is done after no more inputs that move it than there are presentations of
    menus, and one recording."""
    ask = ASK._replace(why_no_callback=lambda _: refused)
    state, commands = run(wanted, FlowState(), Arrived(), ask)
    moves = 1
    given = itertools.cycle(habit)
    while not isinstance(state.position, Done):
        happened = next(given)
        after, commands = run(wanted, state, happened, ask)
        if after == state:
            fits = isinstance(state.position, Collecting) and isinstance(happened, Digits | TimedOut)
            assert not fits, "an input that fits must move the flow"
            assert commands == []
            happened = TimedOut()
            after, commands = run(wanted, state, happened, ask)
        assert run(wanted, state, happened, ask) == (after, commands)
        state = msgspec.json.decode(msgspec.json.encode(after), type=FlowState)
        assert state == after
        moves += 1
        assert moves <= flows.MOST_PRESENTATIONS + 2
        assert isinstance(state.position, Collecting | Recording | Done)
    last = commands[-1]
    assert refused is None or not isinstance(last, KeepPlace)
    assert isinstance(last, Enter | KeepPlace | Release | KeepVoicemail)
    assert run(wanted, state, TimedOut(), ask) == (state, [])


def test_a_title_fits_its_picture_and_what_is_cut_is_told_whole() -> None:
    """Given a flow of one step with a long queue's name and many numbers; when it is drawn; then the title is within
    the picture, numbers beyond the first few are counted, and the whole name is there to be pointed at."""
    name = "a-queue-with-a-really-long-name-indeed"
    numbers = [f"+3363998000{digit}" for digit in range(7)]
    one = flow(a=flows.ToQueue(queue_id=name))
    picture = ElementTree.fromstring(entry_point_svg("a-line", numbers, one))
    ns = "{http://www.w3.org/2000/svg}"
    title, *texts = picture.iter(f"{ns}text")
    assert (title.text or "").endswith("+33639980003 and 3 more")
    end = float(title.attrib["x"]) + 9.64 * len(title.text or "")
    assert end < float(picture.attrib["width"])
    assert [text.findtext(f"{ns}title") for text in texts] == [None, name]


@given(valid_flows())
def test_no_two_things_of_a_picture_share_a_place(wanted: Flow) -> None:
    """Given any valid flow; when it is drawn; then every text lies within one box, no two boxes overlap, no way runs
    through a box, and every reachable step is there."""
    picture = ElementTree.fromstring(svg(wanted, "line"))
    ns = "{http://www.w3.org/2000/svg}"
    boxes = [
        tuple(float(box.attrib[key]) for key in ("x", "y", "width", "height"))
        for box in picture.iter(f"{ns}rect")
        if "rx" in box.attrib
    ]
    assert len(boxes) == len(wanted.steps)
    for number, (x, y, width, height) in enumerate(boxes):
        for x2, y2, width2, height2 in boxes[number + 1 :]:
            assert x + width <= x2 or x2 + width2 <= x or y + height <= y2 or y2 + height2 <= y
    places = set()
    for text in list(picture.iter(f"{ns}text"))[1:]:
        length = 7.83 * len(text.text or "")
        x, y = float(text.attrib["x"]), float(text.attrib["y"])
        left = x - length if text.attrib.get("text-anchor") == "end" else x
        (home,) = [
            box for box in boxes if box[0] <= left and left + length <= box[0] + box[2] and box[1] < y < box[1] + box[3]
        ]
        assert (home, y) not in places
        places.add((home, y))
    for way in list(picture.iter(f"{ns}path"))[1:]:
        at_x, at_y = 0.0, 0.0
        for part in way.attrib["d"].split():
            kind, values = part[0], [float(value) for value in part[1:].split(",")]
            to_x, to_y = (
                (values[0], values[1]) if kind == "M" else (values[0], at_y) if kind == "H" else (at_x, values[0])
            )
            if kind != "M":
                low_x, high_x = sorted((at_x, to_x))
                low_y, high_y = sorted((at_y, to_y))
                for x, y, width, height in boxes:
                    assert high_x <= x or low_x >= x + width or high_y <= y or low_y >= y + height
            at_x, at_y = to_x, to_y
    assert svg(wanted, "line") == svg(wanted, "line")
