"""The replay: the file read as it is, patience from censored data, the floor of the day, the figures side by side."""

from __future__ import annotations

import csv
import io
import json
import os
from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from random import Random
from statistics import fmean
from zoneinfo import ZoneInfo

import pytest
from common.phone import normalise
from kpi.domain.recount import Expected, Recount
from plateau.replay.calls import COLUMNS, InvalidCallFile, Outcome, PastCall, read_calls
from plateau.replay.patience import estimates, kaplan_meier, patience_of
from plateau.replay.plan import NothingToPlay, plan
from plateau.replay.policies import POLICIES, under
from plateau.replay.report import ALL, of_file, of_kpi, of_recount, policies, table
from plateau.replay.run import Options, replay
from rich.console import Console

ZONE = ZoneInfo("Asia/Jerusalem")
MENU = timedelta(seconds=10)


def row(**given: object) -> dict[str, str]:
    """A row of the file; by default a call that waited 30 s and was served for 100 s."""
    values: dict[str, object] = {
        "vru_line": "AA0101",
        "call_id": "1",
        "customer_id": "0",
        "priority": "0",
        "type": "PS",
        "date": "1999-08-02",
        "vru_entry": "9:00:00",
        "vru_exit": "9:00:10",
        "vru_time": "10",
        "q_start": "9:00:10",
        "q_exit": "9:00:40",
        "q_time": "30",
        "outcome": "AGENT",
        "ser_start": "9:00:40",
        "ser_exit": "9:02:20",
        "ser_time": "100",
        "server": "ALMA",
        **given,
    }
    return {name: str(value) for name, value in values.items()}


NOT_QUEUED = {"q_start": "0:00:00", "q_exit": "0:00:00", "q_time": 0}
NOT_SERVED = {"ser_start": "0:00:00", "ser_exit": "0:00:00", "ser_time": 0, "server": "NO_SERVER"}


def write(path: Path, *rows: dict[str, str]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    return path


def read(tmp_path: Path, *rows: dict[str, str]) -> list[PastCall]:
    return list(read_calls(write(tmp_path / "calls.csv", *rows), ZONE))


def local(hour: int, minute: int, second: int = 0, day: int = 2) -> datetime:
    return datetime(1999, 8, day, hour, minute, second, tzinfo=ZONE)


def test_what_is_offered(tmp_path: Path) -> None:
    waited, at_once, hung_up, in_menu, phantom = read(
        tmp_path,
        row(),
        row(**NOT_QUEUED),
        row(outcome="HANG", **NOT_SERVED),
        row(outcome="HANG", **NOT_QUEUED, **NOT_SERVED),
        row(outcome="PHANTOM"),
    )
    assert (waited.offered, waited.arrival, waited.wait_seconds) == (True, local(9, 0, 10), 30.0)
    assert (waited.server, waited.service_start, waited.service_end) == ("ALMA", local(9, 0, 40), local(9, 2, 20))
    assert (at_once.offered, at_once.arrival, at_once.wait_seconds) == (True, local(9, 0, 10), 0.0)
    assert (hung_up.offered, hung_up.answered, hung_up.wait_seconds) == (True, False, 30.0)
    assert (hung_up.server, hung_up.service_start, hung_up.service_seconds) == (None, None, 0.0)
    assert not in_menu.offered
    assert not phantom.offered
    assert [call.number for call in (waited, phantom)] == [1, 5]


def test_calls_that_pass_midnight_go_on_the_next_day(tmp_path: Path) -> None:
    late, before, odd = read(
        tmp_path,
        row(vru_entry="23:59:40", vru_exit="23:59:50", q_start="0:00:05", q_exit="0:01:00", ser_start="0:01:00"),
        row(vru_entry="23:58:00", vru_exit="23:58:10", q_start="23:58:10", q_exit="23:59:00", ser_start="0:00:30"),
        row(vru_entry="12:04:42", vru_exit="12:03:15", q_start="12:03:15", ser_start="12:04:55"),
    )
    assert (late.arrival, late.service_start) == (local(0, 0, 5, day=3), local(0, 1, day=3))
    assert (before.arrival, before.service_start) == (local(23, 58, 10), local(0, 0, 30, day=3))
    assert odd.arrival == local(12, 3, 15)  # the file's menu times are not always in order: that is no midnight
    assert late.day == date(1999, 8, 2)
    assert late.arrival.astimezone(UTC).hour == 21


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"date": "2.8.1999"}, "calls.csv:3: date is '2.8.1999', not a date like 1999-08-01"),
        ({"q_start": "9:61:00"}, "calls.csv:3: q_start is '9:61:00', not a time of day"),
        ({"vru_exit": "nine"}, "calls.csv:3: vru_exit is 'nine', not a time like 9:05:00"),
        ({"outcome": "LOST"}, "calls.csv:3: outcome is 'LOST', not AGENT, HANG or PHANTOM"),
        ({"ser_time": "-4"}, "calls.csv:3: ser_time is '-4', not a number from 0 to 86399"),
        ({"type": ""}, "calls.csv:3: type is '', not filled in"),
    ],
)
def test_a_wrong_value_is_named_with_its_place(tmp_path: Path, wrong: dict[str, str], said: str) -> None:
    with pytest.raises(InvalidCallFile) as caught:
        read(tmp_path, row(), row(**wrong))
    assert str(caught.value).endswith(said)


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.csv"
    path.write_text("phone,name\n+33639981234,Ada\n")
    with pytest.raises(InvalidCallFile, match=r"other\.csv:1: column vru_line is missing"):
        list(read_calls(path, ZONE))


def test_kaplan_meier_by_hand() -> None:
    """Ten callers: 2 hang up at 10 s, 3 answered at 20 s, 1 hangs up at 30 s, 4 answered at 40 s."""
    estimate = kaplan_meier([*[(10, True)] * 2, *[(20, False)] * 3, (30, True), *[(40, False)] * 4])
    assert estimate.at(9.9) == 1.0
    assert estimate.at(10) == pytest.approx(0.8)
    assert estimate.at(29) == pytest.approx(0.8)
    assert estimate.at(30) == pytest.approx(0.8 * 4 / 5)
    assert estimate.at(40) == 0.0  # the largest observation is censored: the rest of the probability lies there


def test_at_one_time_those_who_hang_up_go_before_those_who_are_answered() -> None:
    estimate = kaplan_meier([(10, True), (10, False), (20, True)])
    assert estimate.at(10) == pytest.approx(2 / 3)


def test_patience_without_censoring_is_what_was_seen() -> None:
    estimate = kaplan_meier([(seconds, True) for seconds in (10, 20, 30, 40)])
    random = Random(1)
    drawn = Counter(estimate.draw(0, random) for _ in range(8000))
    assert drawn.keys() == {10, 20, 30, 40}
    assert all(count == pytest.approx(2000, abs=180) for count in drawn.values())


def test_the_answered_are_more_patient_than_they_were_seen_to_be() -> None:
    estimate = kaplan_meier([(seconds, True) for seconds in (10, 20, 30, 40)])
    random = Random(2)
    drawn = Counter(estimate.draw(20, random) for _ in range(4000))
    assert drawn.keys() == {30, 40}
    assert drawn[30] == pytest.approx(2000, abs=150)
    assert estimate.draw(40, random) == 41  # nobody was ever seen to wait longer


def test_an_exponential_patience_is_found_again_behind_censoring() -> None:
    """Patience of mean 100 s, watched for times of mean 60 s: the estimate is of the patience, not of the watch."""
    random = Random(3)
    pairs = [(random.expovariate(1 / 100), random.expovariate(1 / 60)) for _ in range(20_000)]
    estimate = kaplan_meier([(min(patience, offered), patience < offered) for patience, offered in pairs])
    for seconds in (20.0, 60.0, 120.0):
        assert estimate.at(seconds) == pytest.approx(2.718281828 ** (-seconds / 100), abs=0.015)
    assert fmean(min(estimate.draw(50, random), 250) for _ in range(20_000)) == pytest.approx(136.5, abs=3)


def test_patience_of_the_callers_of_a_file(tmp_path: Path) -> None:
    calls = read(
        tmp_path,
        *[row(outcome="HANG", q_time=seconds, **NOT_SERVED) for seconds in (10, 60, 200, 400)],
        row(q_time=100),
        row(type="NW", q_time=7),
        row(type="TT", **NOT_QUEUED),
    )
    survival = estimates(calls)
    assert [patience_of(call, survival, "seed") for call in calls[:4]] == [10, 60, 200, 400]
    assert patience_of(calls[4], survival, "seed") in (200, 400)
    assert patience_of(calls[4], survival, "seed") == patience_of(calls[4], survival, "seed")
    assert patience_of(calls[5], survival, "seed") == 8  # known: longer than 7 s
    assert patience_of(calls[6], survival, "seed") == 1


def small_day(tmp_path: Path) -> list[PastCall]:
    return read(
        tmp_path,
        row(customer_id="77", priority="2"),
        row(customer_id="77", q_start="9:10:00", ser_start="9:10:20"),
        row(customer_id="0", q_start="9:20:00", ser_start="9:20:20", server="BRUNO", type="NW"),
        row(customer_id="0", q_start="10:00:00", ser_start="10:00:20", ser_time=60),
        row(customer_id="5", q_start="16:00:00", ser_start="16:00:20", ser_time=60),
        row(outcome="HANG", q_start="9:30:00", **NOT_SERVED),
        row(outcome="HANG", **NOT_QUEUED, **NOT_SERVED),
        row(outcome="PHANTOM", server="NO_SERVER"),
        row(date="1999-08-03", type="IN", server="CHLOE"),
    )


def test_the_floor_is_that_of_the_day(tmp_path: Path) -> None:
    made = plan(small_day(tmp_path), time_zone="Asia/Jerusalem", day=date(1999, 8, 2))
    assert (len(made.callers), made.in_menu, made.phantoms) == (6, 1, 1)
    assert {agent.id: list(agent.skills) for agent in made.floor.agents} == {"alma": ["ps"], "bruno": ["nw"]}
    assert {queue.id: (queue.required_skills, queue.priority) for queue in made.floor.queues} == {
        "ps": (("ps",), 0),
        "ps-privileged": (("ps",), 1),
        "nw": (("nw",), 0),
    }
    assert {queue.ageing_seconds_per_priority for queue in made.floor.queues} == {90}
    assert [(shift.at, shift.state) for shift in made.shifts if shift.agent_id == "alma"] == [
        (local(9, 0, 40), "logged_in"),
        (local(9, 12, 0), "break"),
        (local(10, 0, 20), "available"),
        (local(10, 1, 20), "logged_out"),
        (local(16, 0, 20), "logged_in"),
        (local(16, 1, 20), "logged_out"),
    ]
    assert (made.start, made.end) == (local(9, 0, 10), local(16, 1, 20))
    tariff = made.floor.tenants[0].tariff
    assert tariff is not None
    assert tariff.valid_from == date(1999, 8, 1)


def test_a_customer_has_one_number_and_an_unknown_caller_another_each_time(tmp_path: Path) -> None:
    made = plan(small_day(tmp_path), time_zone="Asia/Jerusalem")
    first, again, unknown, another, *_ = sorted(made.callers, key=lambda caller: caller.number)
    assert first.phone == again.phone
    assert len({first.phone, unknown.phone, another.phone}) == 3
    assert all(normalise(caller.phone) == caller.phone for caller in made.callers)


def test_the_same_seed_gives_the_same_plan(tmp_path: Path) -> None:
    calls = small_day(tmp_path)
    assert plan(calls, time_zone="UTC", seed="a") == plan(calls, time_zone="UTC", seed="a")
    assert len(plan(calls, time_zone="UTC").days) == 2
    assert len(plan(calls, time_zone="UTC", limit=2).callers) == 2
    with pytest.raises(NothingToPlay, match="no call of 1999-08-09"):
        plan(calls, time_zone="UTC", day=date(1999, 8, 9))


def test_the_three_sources_are_counted_alike(tmp_path: Path) -> None:
    calls = [call for call in small_day(tmp_path) if call.offered]
    past = of_file(calls)
    of_day = past[date(1999, 8, 2), ALL]
    assert (of_day.offered, of_day.answered, of_day.abandoned) == (6, 5, 1)
    assert of_day.asa_seconds == 30.0
    assert of_day.service_level == 0.0
    start = local(9, 0).astimezone(UTC)
    expected = Expected(
        offered=4, answered=3, abandoned=1, short_abandoned=1, answered_within=2, wait_answered_ms=60_000
    )
    recounted = of_recount(
        Recount(4, 20, 0, {("replayed", "ps", start): expected, ("replayed", None, start): expected}, ()),
        {"ps": "PS"},
        ZONE,
    )
    kpi_row = {
        "queue_id": "ps",
        "start": "1999-08-02T00:00:00+03:00",
        "offered": 4,
        "answered": 3,
        "abandoned": 1,
        "short_abandoned": 1,
        "answered_within": 2,
        "wait_answered_seconds": 60.0,
    }
    shown = of_kpi([kpi_row, {**kpi_row, "queue_id": None}], {"ps": "PS"})
    assert shown == recounted
    figures = shown[date(1999, 8, 2), "PS"]
    assert (figures.service_level, figures.asa_seconds) == (2 / 3, 20.0)
    assert table(shown, recounted, past).row_count == 5


def test_a_policy_changes_the_queues_alone(tmp_path: Path) -> None:
    made = plan(small_day(tmp_path), time_zone="Asia/Jerusalem", day=date(1999, 8, 2))
    assert under(made, "privileged") == made
    played = {name: {queue.id: queue for queue in under(made, name).floor.queues} for name in POLICIES}
    assert {queue.priority for queue in played["first_come"].values()} == {0}
    assert {queue.agent_order for queue in played["least_flexible"].values()} == {"least_flexible"}
    for name in POLICIES:
        assert replace(under(made, name), floor=made.floor) == made


def test_weights_are_what_the_day_was(tmp_path: Path) -> None:
    """ps: 4 calls between 9:00:10 and 16:00, served for 100, 60 and 60 s; one of them hung up, 120 s waited in all."""
    made = plan(small_day(tmp_path), time_zone="Asia/Jerusalem", day=date(1999, 8, 2))
    weights = {queue.id: queue.weights for queue in under(made, "weights").floor.queues}
    hours = (local(16, 0) - local(9, 0, 10)).total_seconds() / 3600
    assert weights["ps"] == {
        "lost_call_cost": 1.0,
        "calls_per_hour": pytest.approx(4 / hours),
        "handling_seconds": pytest.approx((100 + 60 + 60) / 3),
        "patience_seconds": 120.0,
    }
    privileged = weights["ps-privileged"]
    assert privileged is not None
    assert (privileged["lost_call_cost"], privileged["patience_seconds"]) == (3.0, 3600.0)  # nobody hung up


def test_policies_beside_the_file(tmp_path: Path) -> None:
    calls = [call for call in small_day(tmp_path) if call.offered]
    past = of_file(calls, lambda call: "privileged" if call.priority == 2 else "others")
    assert (past[date(1999, 8, 2), "privileged"].offered, past[date(1999, 8, 2), "others"].abandoned) == (1, 1)
    shown = policies({"first_come": past}, past)
    told = io.StringIO()
    Console(file=told, width=160).print(shown)
    rows = [line.split() for line in told.getvalue().splitlines() if "first_come" in line or "the file" in line]
    assert rows[0][2:] == rows[1][3:]
    assert "14.3%" in rows[0]  # 1 of 7


def made_up_morning(tmp_path: Path) -> Path:
    """Ninety calls in 45 minutes for three servers. One in ten hangs up after 5 s, one in ten after 25 minutes.

    The patience of the others is drawn from theirs: nearly all have more of it than a busy machine needs.
    """
    random = Random(4)
    rows = []
    for number in range(90):
        at = 9 * 3600 + number * 30
        hung_up = number % 5 == 0
        wait = (5, 1500)[number % 2] if hung_up else random.choice((0, 5, 40, 120))
        service = random.randrange(20, 110)
        rows.append(
            row(
                call_id=number,
                customer_id=random.choice((0, 0, 11, 12, 13, 14, 15, 16, 17, 18)),
                priority=random.choice((0, 1, 2)),
                type=random.choice(("PS", "PS", "NW")),
                vru_entry=_clock(at - 10),
                vru_exit=_clock(at),
                **({"q_start": _clock(at), "q_exit": _clock(at + wait), "q_time": wait} if wait else NOT_QUEUED),
                outcome="HANG" if hung_up else "AGENT",
                **(
                    NOT_SERVED
                    if hung_up
                    else {
                        "ser_start": _clock(at + wait),
                        "ser_exit": _clock(at + wait + service),
                        "ser_time": service,
                        "server": ("ALMA", "BRUNO", "CHLOE")[number % 3],
                    }
                ),
            )
        )
    return write(tmp_path / "morning.csv", *rows)


def _clock(seconds: int) -> str:
    return f"{seconds // 3600}:{seconds % 3600 // 60:02d}:{seconds % 60:02d}"


@pytest.mark.deep
async def test_a_morning_is_played_through_the_five_services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATABASE_URL", "KAFKA_BOOTSTRAP_SERVERS"):
        monkeypatch.delenv(name, raising=False)
    told = io.StringIO()
    options = Options(made_up_morning(tmp_path), speed=150, directory=tmp_path / "stack", lead_in_seconds=20)
    [result] = await replay(options, Console(file=told, width=160))
    summary = json.loads(told.getvalue().splitlines()[-1])
    assert result.right, told.getvalue()
    assert summary == result.summary
    assert (summary["kpi_equals_recount"], summary["violations"], summary["dead_letters"]) == (True, 0, 0)
    assert summary["calls_offered"] == summary["calls_answered"] + summary["calls_abandoned"] == 90
    assert summary["charges"] == summary["cases_closed"] - summary["reversals"] > 0
    assert summary["calls_answered"] > 0
    assert not list((tmp_path / "stack").iterdir()), "the replay leaves nothing behind"


CALLS_FILE = Path(os.environ.get("PLATEAU_CALLS_FILE", "calls.csv"))


@pytest.mark.skipif(not CALLS_FILE.is_file(), reason="PLATEAU_CALLS_FILE names no call-by-call file")
def test_the_real_file_is_read_whole() -> None:
    calls = list(read_calls(CALLS_FILE, ZONE))
    assert len(calls) == 23_668
    assert Counter(call.day for call in calls)[date(1999, 8, 1)] == 2375
    made = plan(calls, time_zone="Asia/Jerusalem", day=date(1999, 8, 1))
    assert len(made.callers) + made.in_menu + made.phantoms == 2375
    assert Counter(call.outcome for call in calls)[Outcome.PHANTOM] == 199
    assert made.phantoms == 18
    for agent in made.floor.agents:
        shifts = [shift for shift in made.shifts if shift.agent_id == agent.id]
        assert all(earlier.at <= later.at for earlier, later in pairwise(shifts))
    assert all(0 <= caller.patience_seconds < 3600 for caller in made.callers)
