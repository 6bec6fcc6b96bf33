"""The simulated people behave as their figures say, and the same for the same seed."""

from __future__ import annotations

import itertools
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from statistics import fmean, pstdev

import pytest
from common.clock import ManualClock
from common.phone import normalise
from plateau.floor import load
from plateau.simulator import Inbound, Traffic
from plateau.simulator.arrivals import SHAPES, arrivals, lognormal, rate_of_day
from plateau.simulator.people import UNSETTLED, disposition, invented_number, new_matter

FLOORS = Path(__file__).parents[2] / "deploy" / "local" / "floors"
MIDNIGHT = datetime(2026, 11, 2, 0, 0, tzinfo=UTC)


def within_poisson_bounds(count: int, mean: float) -> bool:
    """Within 4.5 standard deviations: a right program fails once in 150,000 draws, and ours are seeded."""
    return abs(count - mean) <= 4.5 * math.sqrt(mean) + 1


def test_arrivals_follow_the_time_of_day() -> None:
    peak = 600.0
    shape = SHAPES["round-the-clock"]
    clock = ManualClock(MIDNIGHT)
    times = arrivals(rate_of_day(peak, shape, "UTC"), peak, clock.now(), Random(1))
    by_hour = [0] * 24
    for moment in times:
        clock.set(moment)
        if clock.now() >= MIDNIGHT + timedelta(days=5):
            break
        by_hour[moment.hour] += 1
    for hour, count in enumerate(by_hour):
        assert within_poisson_bounds(count, 5 * peak * shape[hour]), hour


def test_arrivals_are_memoryless() -> None:
    times = list(itertools.islice(arrivals(lambda _: 360.0, 360.0, MIDNIGHT, Random(2)), 20_000))
    gaps = [(later - earlier).total_seconds() for earlier, later in itertools.pairwise(times)]
    assert fmean(gaps) == pytest.approx(10, rel=0.03)
    assert pstdev(gaps) == pytest.approx(10, rel=0.03)
    assert sum(gap > 10 for gap in gaps) / len(gaps) == pytest.approx(math.exp(-1), abs=0.012)


def test_the_hours_are_those_of_the_tenant() -> None:
    rate = rate_of_day(100, SHAPES["office"], "Indian/Reunion")
    assert rate(datetime(2026, 11, 2, 3, 30, tzinfo=UTC)) == 15.0  # 07:30 there
    assert rate(datetime(2026, 11, 2, 20, 0, tzinfo=UTC)) == 0.0  # midnight there


def test_nobody_calls_a_queue_without_traffic() -> None:
    assert list(arrivals(lambda _: 0.0, 0.0, MIDNIGHT, Random(3))) == []


def test_the_same_seed_gives_the_same_arrivals() -> None:
    first, second, other = (
        list(itertools.islice(arrivals(lambda _: 60.0, 60.0, MIDNIGHT, Random(seed)), 50)) for seed in ("a", "a", "b")
    )
    assert first == second
    assert first != other


@pytest.mark.parametrize(("mean", "variation"), [(180.0, 0.8), (9.0, 0.5)])
def test_durations_have_their_mean_and_variation(mean: float, variation: float) -> None:
    random = Random(4)
    drawn = [lognormal(mean, variation, random) for _ in range(40_000)]
    assert fmean(drawn) == pytest.approx(mean, rel=0.02)
    assert pstdev(drawn) / fmean(drawn) == pytest.approx(variation, rel=0.06)


def test_matters_take_the_calls_that_they_should() -> None:
    traffic = Inbound(calls_per_hour=1, calls_per_matter=2.5, withheld=0)
    matters = [new_matter("complaints", number, traffic, "FR", "seed") for number in range(8000)]
    assert fmean(matter.calls_left for matter in matters) == pytest.approx(2.5, rel=0.04)
    assert min(matter.calls_left for matter in matters) == 1


def test_a_matter_depends_on_its_number_alone() -> None:
    traffic = Inbound(calls_per_hour=1, calls_per_matter=2.5)

    def essence(number: int) -> tuple[str | None, int, float]:
        matter = new_matter("complaints", number, traffic, "FR", "seed")
        return matter.phone, matter.calls_left, matter.patience(traffic)

    assert essence(7) == essence(7)
    assert len({essence(number) for number in range(50)}) == 50


def test_some_numbers_are_withheld_and_then_the_matter_takes_one_call() -> None:
    traffic = Inbound(calls_per_hour=1, calls_per_matter=5, withheld=0.2)
    matters = [new_matter("q", number, traffic, "FR", "seed") for number in range(4000)]
    withheld = [matter for matter in matters if matter.phone is None]
    assert len(withheld) == pytest.approx(800, abs=115)
    assert {matter.calls_left for matter in withheld} == {1}


@pytest.mark.parametrize("region", ["FR", "GB", "US", "ZW"])
def test_invented_numbers_are_possible_ones(region: str) -> None:
    random = Random(5)
    for _ in range(200):
        number = invented_number(region, random)
        assert normalise(number) == number


def test_a_settled_call_has_a_closing_disposition() -> None:
    tenant = load(FLOORS / "sample.yaml").tenant("moon-kettles")
    random = Random(6)
    assert disposition(tenant, False, random) == UNSETTLED
    assert {disposition(tenant, True, random) for _ in range(100)} == set(tenant.closing_dispositions)


def test_the_sample_traffic_names_queues_and_campaigns_of_the_sample_floor() -> None:
    floor, traffic = load(FLOORS / "sample.yaml"), Traffic.load(FLOORS / "sample.traffic.yaml")
    assert traffic.queues.keys() <= {queue.id for queue in floor.queues}
    assert traffic.campaigns.keys() == {campaign.id for campaign in floor.campaigns}


def test_guessed_traffic_keeps_the_agents_busy_for_the_share_asked_for() -> None:
    floor = load(FLOORS / "centre-60.yaml")
    traffic = Traffic.for_floor(floor, load=0.8)
    queue = traffic.queues["boat-orders"]
    erlangs = queue.calls_per_hour / 3600 * (queue.talk_seconds + queue.wrap_up_seconds)
    assert erlangs == pytest.approx(0.8 * 60)


def test_guessed_traffic_leaves_overflow_and_campaign_queues_to_their_sources() -> None:
    floor = load(FLOORS / "sample.yaml")
    traffic = Traffic.for_floor(floor)
    assert traffic.queues.keys() == {"moon-complaints", "comet-information", "gale-help-desk"}
    assert traffic.campaigns.keys() == {"nose-autumn-check"}
