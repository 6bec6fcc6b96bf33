# ruff: noqa: E501  (a table of cases reads best with one case per line)
"""Every wrong value of a floor file is named with its line; a right one is read whole."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from crm_bridge.domain.webhooks import EVENT_TYPES
from plateau.floor import Floor, FloorInvalid, load, parse

FLOORS = Path(__file__).parents[2] / "deploy" / "local" / "floors"

GOOD = """\
pools:
  room:
    name: Room
    skills: [french, orders]
    agents:
      - {id: berthe, name: Berthe, skills: {french: 9, orders: 3}}
    positions:
      - {prefix: alma, count: 2, skills: {french: 8}}
tenants:
  boats:
    name: Paper Boats
    time_zone: Europe/Paris
    currency: EUR
    closing_dispositions: [settled]
    tariff: {price_per_closed_case: "4.20"}
    webhooks:
      boats-hook: {url: "https://boats.example/hook", event_types: [case.closed.v1]}
    queues:
      orders:
        pool: room
        required_skills: [french]
        overflow: {queue: late, after_seconds: 30}
      late:
        pool: room
    campaigns:
      autumn:
        name: Autumn
        queue: orders
        calling_hours: {mon: [["14:00", "20:00"], ["10:00", "13:00"]]}
"""


def line_of(text: str, fragment: str) -> int:
    """Line (from 1) of the only line that holds `fragment`."""
    found = [number for number, line in enumerate(text.splitlines(), 1) if fragment in line]
    assert len(found) == 1, (fragment, found)
    return found[0]


def wrong_of(text: str, directory: Path = FLOORS) -> list[str]:
    with pytest.raises(FloorInvalid) as refused:
        parse(text, "floor.yaml", directory)
    return [str(one) for one in refused.value.wrong]


def test_a_right_floor_is_read_with_every_default() -> None:
    floor = parse(GOOD)
    assert [agent.id for agent in floor.agents] == ["berthe", "alma-001", "alma-002"]
    assert floor.agents[0].skills == {"french": 9, "orders": 3}
    queue = floor.queue("orders")
    assert queue.overflow is not None
    assert (queue.overflow.queue_id, queue.overflow.after_seconds) == ("late", 30)
    assert (queue.priority, queue.service_level_seconds, queue.channel) == (5, 20, "voice")
    tariff = floor.tenant("boats").tariff
    assert tariff is not None
    assert tariff.price_per_closed_case == Decimal("4.20")
    assert floor.campaigns[0].calling_hours == {"mon": [["10:00", "13:00"], ["14:00", "20:00"]]}
    assert floor.warnings == ()


def test_who_may_serve_is_read_with_its_rings() -> None:
    rules = """requirement: "french >= 5 and orders"
        relaxations: [{after_seconds: 30, requirement: french >= 9}]
        agent_order: best_level"""
    floor = parse(GOOD.replace("required_skills: [french]", rules))
    queue = floor.queue("orders")
    assert (queue.requirement, queue.agent_order) == ("french >= 5 and orders", "best_level")
    assert [(one.after_seconds, one.requirement) for one in queue.relaxations] == [(30, "french >= 9")]
    assert [agent.id for agent in floor.agents_of(queue)] == ["berthe"]


NOTHING = """\
pools:
  room: {name: Room}
tenants:
  boats:
    name: Paper Boats
    time_zone: Europe/Paris
    queues:
      a: {pool: room, weights: {lost_call_cost: 0}}
      b: {pool: room, weights: {lost_call_cost: 0, calls_per_hour: 9}}
"""


def test_weights_are_read_with_their_defaults_and_each_fault_at_its_place() -> None:
    floor = parse(GOOD.replace("required_skills: [french]", "weights: {lost_call_cost: 3, calls_per_hour: 90}"))
    assert floor.queue("orders").weights == {
        "lost_call_cost": 3,
        "calls_per_hour": 90,
        "handling_seconds": None,
        "patience_seconds": None,
        "service_level_target": None,
        "late_call_cost": None,
    }
    assert floor.queue("late").weights is None
    wrong = GOOD.replace("required_skills: [french]", "weights: {lost_call_cost: -3, patience_seconds: 0, lost: 1}")
    assert len(wrong_of(wrong)) == 3
    wrong = GOOD.replace("required_skills: [french]", "weights: {service_level_target: 80}")
    assert len(wrong_of(wrong)) == 1
    wrong = GOOD.replace("required_skills: [french]", "weights: {late_call_cost: 3}")
    assert ["needs a service_level_target" in one for one in wrong_of(wrong)] == [True]


def test_weights_that_come_to_nothing_are_refused() -> None:
    """All queues of a pool at no cost: nothing would be worth answering."""
    parse(GOOD.replace("required_skills: [french]", "weights: {lost_call_cost: 0}"))  # another queue has a cost
    wrong = wrong_of(NOTHING)
    assert [one.split(": ", 1)[1] for one in wrong] == [
        f"queue {name}: weights.lost_call_cost: the weights of pool room sum to nothing" for name in ("a", "b")
    ]


def test_several_calls_at_a_time_are_read_and_each_fault_named_at_its_place() -> None:
    text = """\
pools:
  room:
    name: Room
    interrupts: {voice: [email, post], chat: [post]}
    agents: [{id: ada, name: Ada, capacity: {voice: 1, chat: 3}}, {id: bea, name: Bea}]
    positions: [{prefix: alma, count: 2, capacity: {email: 5}}]
"""
    floor = parse(text)
    assert floor.pools[0].interrupts == {"voice": ("email", "post"), "chat": ("post",)}
    assert [agent.capacity for agent in floor.agents] == [{"voice": 1, "chat": 3}, {}, {"email": 5}, {"email": 5}]
    told = wrong_of(
        text.replace("{voice: 1, chat: 3}", "{voice: 2, fax: 1}")
        .replace("{email: 5}", "{email: 0}")
        .replace("{voice: [email, post], chat: [post]}", "{chat: [post, voice], post: [email], email: [chat, fax]}")
    )
    assert [line.split(":")[1] for line in told] == ["4", "4", "4", "4", "4", "5", "5", "6"]
    assert any("post would interrupt each other" in line for line in told)
    assert any("a voice call cannot be interrupted" in line for line in told)


def test_break_reasons_are_read_and_each_wrong_one_named_at_its_place() -> None:
    text = "pools:\n  room: {name: Room, break_reasons: [lunch, training]}\n"
    assert parse(text).pools[0].break_reasons == ("lunch", "training")
    told = wrong_of(text.replace("training", "a walk, lunch"))
    assert [one.split(": ")[0] for one in told] == ["floor.yaml:2:45", "floor.yaml:2:53"]


def test_each_unknown_skill_of_a_requirement_is_named_at_its_column() -> None:
    text = GOOD.replace("required_skills: [french]", 'requirement: "greek or dutch"')
    line = line_of(text, "greek or dutch")
    assert [one.split(": ")[0] for one in wrong_of(text)] == [f"floor.yaml:{line}:23", f"floor.yaml:{line}:32"]


@pytest.mark.parametrize(
    ("good", "bad", "told"),
    [
        (
            "time_zone: Europe/Paris",
            "time_zone: Europe/Pariss",
            'must be the time zone of a place (name a city, such as Europe/Paris), not "Europe/Pariss"',
        ),
        (
            "currency: EUR",
            "currency: EURO",
            'must be a currency that can be billed in (did you mean "EUR"?), not "EURO"',
        ),
        ('"4.20"', '"-4.20"', 'a price must not be negative, not "-4.20"'),
        ('"4.20"', '"4.205"', 'not "4.205"'),
        (
            '"4.20"',
            "free",
            'must be a decimal number, written in digits and a point if need be, such as 4.20, not "free"',
        ),
        (
            '"4.20"',
            "NaN",
            'must be a decimal number, written in digits and a point if need be, such as 4.20, not "NaN"',
        ),
        (
            "required_skills: [french]",
            "required_skills: [frensh]",
            'pool room has no such skill (did you mean "french"?), not "frensh"',
        ),
        ("count: 2, skills: {french: 8}", "count: 2, skills: {german: 8}", 'pool room has no such skill, not "german"'),
        (
            "count: 2, skills: {french: 8}",
            "count: 2, skills: {french: 11}",
            'must be a whole number from 1 to 10, not "11"',
        ),
        ("count: 2,", "count: many,", 'must be a whole number from 0 to 20000, written in digits alone, not "many"'),
        (
            "{queue: late, after_seconds: 30}",
            "{queue: latte, after_seconds: 30}",
            'there is no such queue (did you mean "late"?), not "latte"',
        ),
        (
            "{queue: late, after_seconds: 30}",
            "{queue: orders, after_seconds: 30}",
            "calls would go round for ever (orders -> orders)",
        ),
        ("        queue: orders", "        queue: nowhere", 'there is no such queue, not "nowhere"'),
        (
            "        required_skills: [french]",
            "        requiredskills: [french]",
            'is not known (did you mean "required_skills"?)',
        ),
        (
            "required_skills: [french]",
            "requirement: frensh or orders >= 11",
            'column 21: expected a level from 1 to 10, not "frensh or orders >= 11"',
        ),
        (
            "required_skills: [french]",
            "requirement: french and frensh",
            'pool room has no such skill (did you mean "french"?), not "frensh"',
        ),
        (
            "required_skills: [french]",
            "required_skills: [french]\n        requirement: french",
            "say it here or as a requirement, not both",
        ),
        (
            "required_skills: [french]",
            "relaxations: [{after_seconds: 9, requirement: french}, {after_seconds: 5, requirement: orders}]",
            'must be later than the one before, 9, not "5"',
        ),
        ("required_skills: [french]", "relaxations: [{after_seconds: 9}]", "relaxations[0].requirement: is missing"),
        (
            "required_skills: [french]",
            "agent_order: tallest",
            "must be one of longest_idle, best_level, least_flexible, fastest",
        ),
        (
            '"https://boats.example/hook"',
            '"ftp://boats.example"',
            'must be a web address (https://…), not "ftp://boats.example"',
        ),
        (
            "[case.closed.v1]",
            "[case.closd.v1]",
            'must be an event that webhooks can carry (did you mean "case.closed.v1"?), not "case.closd.v1"',
        ),
        (
            '"14:00", "20:00"',
            '"20:00", "14:00"',
            "calling_hours.mon.0: closes at 14:00, before it opens; the end of a day is 24:00",
        ),
        ('"14:00", "20:00"', '"12:00", "20:00"', "calling_hours.mon.0: overlaps calling_hours.mon.1"),
        ('"14:00", "20:00"', '"2 pm", "20:00"', "calling_hours.mon.0: '2 pm' is not a time of day like 09:30"),
        ("{mon: ", "{monday: ", "calling_hours.monday: is no weekday; weekdays are mon, tue, wed, thu, fri, sat, sun"),
        ("    currency: EUR", "    directory: {desk: 12}", "not a phone number"),
        ("    currency: EUR", "    do_not_call: [nobody]", "not a phone number"),
        ("    currency: EUR", "    rest_after_call_minutes: -1", "rest_after_call_minutes"),
        ("        required_skills: [french]", "        recording: maybe", "must be one of never, with_consent, always"),
        ("id: berthe", "id: Berthe!", 'not "Berthe!"'),
        ("id: berthe", "id: alma-001", 'this agent is already on line 6, not "alma-001"'),
        ("    currency: EUR", "    currency: [EUR]", "must be a single value"),
        ("    name: Paper Boats", "    nom: Paper Boats", "is not known"),
    ],
)
def test_a_wrong_value_is_named_with_its_line(good: str, bad: str, told: str) -> None:
    text = GOOD.replace(good, bad, 1)
    assert text != GOOD
    messages = wrong_of(text)
    matching = [message for message in messages if told in message]
    assert matching, messages
    line = 8 if "already on line 6" in told else line_of(text, bad.strip().partition("\n")[0])
    assert matching[0].startswith(f"floor.yaml:{line}:")


def test_several_wrong_values_are_told_at_once_in_the_order_of_the_file() -> None:
    text = GOOD.replace("Europe/Paris", "Nowhere/Land").replace('"4.20"', '"-1"').replace("[french]", "[klingon]")
    messages = wrong_of(text)
    lines = [int(message.split(":")[1]) for message in messages]
    assert lines == sorted(lines)
    assert len(messages) == 3


def test_a_ring_of_overflows_is_told_where_it_is_written() -> None:
    text = GOOD.replace("      late:\n", "      late:\n        overflow: {queue: orders, after_seconds: 9}\n")
    messages = wrong_of(text)
    assert any("calls would go round for ever (orders -> late -> orders)" in message for message in messages)
    assert all(
        f"floor.yaml:{line_of(text, 'queue: late')}:" in m or f":{line_of(text, 'after_seconds: 9')}:" in m
        for m in messages
    )


def test_a_thing_said_twice_is_told_with_its_first_line() -> None:
    text = GOOD + "    name: Other\n"
    assert any("is said twice, first on line 11" in message for message in wrong_of(text))


def test_text_that_is_not_yaml_is_told_with_its_line() -> None:
    (message,) = wrong_of("tenants:\n  a: [1, 2\n  b: 3\n")
    assert message.startswith("floor.yaml:3:")
    assert "this is not YAML" in message


@pytest.mark.parametrize("text", ["", "# only a comment\n", "- a list\n", "tenants: [a]\n", "just words"])
def test_something_else_than_a_floor_is_refused(text: str) -> None:
    assert wrong_of(text)


def test_rows_of_a_leads_file_are_checked_by_line(tmp_path: Path) -> None:
    (tmp_path / "leads.csv").write_text(
        "phone,name,time_zone,external_id\n01 99 00 12 34,A,,1\nnonsense,B,,2\n+33199001234,C,,3\n0261911111,D,Mars/Base,4\n"
    )
    text = GOOD + "        leads: leads.csv\n"
    messages = wrong_of(text, tmp_path)
    assert messages == [
        "leads.csv:3:1: campaign autumn: leads: phone: 'non••nse' is not a phone number: it has a letter at character 1: "
        'write digits alone, without words or names; read "nonsense"',
        'leads.csv:4:1: campaign autumn: leads: phone: duplicate of line 2; read "+33199001234"',
        'leads.csv:5:1: campaign autumn: leads: time_zone: no time zone of a place: name a city, such as Europe/Paris; read "Mars/Base"',
    ]


@pytest.mark.parametrize(
    ("lines", "wrong"),
    [
        ("", "campaign autumn: leads: phone: Portable and Fixe are both the column phone: say in lead_columns which"),
        (
            "        unknown_lead_columns: ignore\n",
            "campaign autumn: leads: phone: Portable and Fixe are both the column",
        ),
        ("        unknown_lead_columns: drop\n", "autumn.unknown_lead_columns: must be refuse or ignore"),
        ("        lead_columns: {name: Client}\n", "autumn.lead_columns: does not say which heading is the phone's"),
        (
            "        lead_columns: {telephone: Fixe}\n",
            "autumn.lead_columns.telephone: is no column of leads: phone, name",
        ),
        ('        lead_columns: {phone: " "}\n', "autumn.lead_columns.phone: must be a heading of the file"),
        ("        lead_columns: {phone: GSM}\n", "campaign autumn: leads: phone: no heading 'GSM'; the headings are"),
        ("        lead_columns: {phone: Portable, name: Client}\n", None),
    ],
)
def test_a_leads_file_of_a_spreadsheet_is_read_as_it_was_saved(tmp_path: Path, lines: str, wrong: str | None) -> None:
    data = 'sep=;\r\nPortable;Fixe;Client\r\n01 99 00 12 34;;"Zoé\nNoël"\r\n;;\r\n'
    (tmp_path / "leads.csv").write_bytes(data.encode("cp1252"))
    text = GOOD + "        leads: leads.csv\n" + lines
    if wrong is None:
        (campaign,) = parse(text, directory=tmp_path).campaigns
        assert campaign.lead_columns == {"phone": "Portable", "name": "Client"}
    else:
        assert any(wrong in message for message in wrong_of(text, tmp_path)), wrong_of(text, tmp_path)


def test_a_leads_file_that_is_not_there_is_told_where_it_is_named(tmp_path: Path) -> None:
    text = GOOD + "        leads: gone.csv\n"
    (message,) = wrong_of(text, tmp_path)
    assert message.startswith(f"floor.yaml:{line_of(text, 'gone.csv')}:")
    assert "the file cannot be read" in message


def test_a_queue_that_nobody_can_serve_is_only_a_warning() -> None:
    floor = parse(
        GOOD.replace("{french: 9, orders: 3}", "{french: 9}").replace(
            "required_skills: [french]", "required_skills: [orders]"
        )
    )
    (warning,) = floor.warnings
    assert "queue orders: no agent of pool room can serve it (orders)" in warning


def test_merge_keys_and_anchors_are_understood() -> None:
    text = GOOD.replace(
        "      late:\n        pool: room\n",
        "      late: &late\n        pool: room\n      later:\n        <<: *late\n        priority: 3\n",
    )
    floor = parse(text)
    assert floor.queue("later").pool_id == "room"
    assert floor.queue("later").priority == 3


@pytest.mark.parametrize(("name", "agents"), [("pilot-6", 6), ("centre-60", 60), ("sample", 44)])
def test_the_samples_are_right(name: str, agents: int) -> None:
    floor = load(FLOORS / f"{name}.yaml")
    assert len(floor.agents) == agents
    assert floor.warnings == ()


def test_a_pilot_becomes_a_centre_by_editing_one_number() -> None:
    def essence(name: str) -> list[str]:
        lines = (FLOORS / name).read_text().splitlines()
        return [line for line in lines if not line.startswith("#")]

    pilot, centre = essence("pilot-6.yaml"), essence("centre-60.yaml")
    different = [(old, new) for old, new in zip(pilot, centre, strict=True) if old != new]
    assert len(different) == 1
    old, new = different[0]
    assert old.replace("count: 6,", "count: 60,") == new
    small, large = load(FLOORS / "pilot-6.yaml"), load(FLOORS / "centre-60.yaml")
    assert [agent.id for agent in small.agents] == [agent.id for agent in large.agents[:6]]


def test_the_sample_has_only_numbers_kept_free_for_fiction() -> None:
    floor: Floor = load(FLOORS / "sample.yaml")
    (campaign,) = floor.campaigns
    assert campaign.leads is not None
    rows = campaign.leads.read_text().splitlines()[1:]
    fiction = ("01 99 00", "02 61 91", "03 53 01", "04 65 71", "05 36 49")
    assert len(rows) == 1500
    assert all(row.startswith(fiction) for row in rows)


HOURS = """\
        hours:
          week: {mon: [["08:00", "12:00"], ["13:00", "18:00"]], fri: [["22:00", "06:00"]]}
          holidays: FR-57
          exceptions: {2026-12-24: [[08:00, 12:00]], 2026-12-26: []}
"""


def test_opening_hours_are_read_as_they_are_written() -> None:
    floor = parse(GOOD.replace("      late:\n", f"      late:\n{HOURS}"), "floor.yaml", FLOORS)
    assert floor.queue("late").hours == {
        "week": {"mon": [["08:00", "12:00"], ["13:00", "18:00"]], "fri": [["22:00", "06:00"]]},
        "holidays": "FR-57",
        "time_zone": None,
        "exceptions": {"2026-12-24": [["08:00", "12:00"]], "2026-12-26": []},
    }


def test_wrong_opening_hours_are_named_with_their_line() -> None:
    wrong = HOURS.replace('["13:00", "18:00"]', '["11:00", "18:00"]').replace("holidays: FR-57", "holidays: Mars")
    text = GOOD.replace("      late:\n", f"      late:\n{wrong.replace('2026-12-26', '2026-12-32')}")
    line = line_of(text, "week:")
    assert wrong_of(text) == [
        f"floor.yaml:{line}:44: tenants.boats.queues.late.hours.week.mon.1: overlaps week.mon.0",
        f"floor.yaml:{line + 1}:21: tenants.boats.queues.late.hours.holidays: there are no public holidays of 'Mars'; a country such as JP or a part such as GB-ENG would be known",
        f"floor.yaml:{line + 2}:66: tenants.boats.queues.late.hours.exceptions.2026-12-32: is no date such as 2026-12-25",
    ]
    odd = GOOD.replace("      late:\n", "      late:\n        hours: {week: mondays, colour: blue}\n")
    assert len(wrong_of(odd)) == 2


def test_a_campaign_knows_holidays_and_exceptions_as_a_queue_does() -> None:
    said = '        holidays: FR-57\n        exceptions: {2026-12-24: [["10:00", "12:00"]], 2026-12-28: []}\n'
    text = GOOD.replace("        name: Autumn\n", f"        name: Autumn\n{said}", 1)
    (campaign,) = parse(text, "floor.yaml", FLOORS).campaigns
    assert campaign.holidays == "FR-57"
    assert campaign.exceptions == {"2026-12-24": [["10:00", "12:00"]], "2026-12-28": []}
    wrong = wrong_of(text.replace("FR-57", "GB").replace("12:00", "09:00").replace("2026-12-28", "20261228"))
    line = line_of(text, "holidays: FR-57")
    assert [one.split(": ", 2)[:2] for one in wrong] == [
        [f"floor.yaml:{line}:19", "tenants.boats.campaigns.autumn.holidays"],
        [f"floor.yaml:{line + 1}:35", "tenants.boats.campaigns.autumn.exceptions.2026-12-24.0"],
        [f"floor.yaml:{line + 1}:66", "tenants.boats.campaigns.autumn.exceptions.20261228"],
    ]
    assert "GB-ENG (England), GB-NIR (Northern Ireland), GB-SCT (Scotland), GB-WLS (Wales)" in wrong[0]


def test_a_day_that_ends_a_minute_early_is_warned_of() -> None:
    """Given hours that close at 23:59, when the file is read, then it stands, and a warning names 24:00 at each line."""
    text = GOOD.replace("      late:\n", f"      late:\n{HOURS}")
    assert [one for one in parse(text, "floor.yaml", FLOORS).warnings if "midnight" in one] == []
    text = text.replace('["13:00", "18:00"]', '["13:00", "23:59"]').replace('"20:00"]', '"23:59"]')
    text = text.replace("2026-12-26: []", '2026-12-26: [["10:00", "23:59"]]')
    queue, campaign = "tenants.boats.queues.late.hours", "tenants.boats.campaigns.autumn.calling_hours"
    said = [one.split(": ", 1) for one in parse(text, "floor.yaml", FLOORS).warnings if "midnight" in one]
    told = "closes one minute before midnight; the end of a day is 24:00"
    assert {one[1] for one in said} == {
        f"{queue}.week.mon: {told}",
        f"{queue}.exceptions.2026-12-26: {told}",
        f"{campaign}.mon: {told}",
    }
    assert all(place.startswith("floor.yaml:") for place, _ in said)


OVERFLOWS = """\
        overflows:
          - {when: {type: waited, seconds: 45}, to: {type: queue, queue_id: orders}}
          - {when: {type: closed, waiting: true}, to: {type: message, message: call-tomorrow}}
          - {when: {type: nobody_logged_in}, to: {type: queue, queue_id: orders}}
"""


def test_overflow_rules_are_read_in_their_order() -> None:
    text = GOOD.replace("      late:\n", f"      late:\n{OVERFLOWS}").replace(
        "        overflow: {queue: late, after_seconds: 30}\n", ""
    )
    assert parse(text, "floor.yaml", FLOORS).queue("late").overflows == (
        {"when": {"type": "waited", "seconds": 45}, "to": {"type": "queue", "queue_id": "orders"}},
        {"when": {"type": "closed", "waiting": True}, "to": {"type": "message", "message": "call-tomorrow"}},
        {"when": {"type": "nobody_logged_in"}, "to": {"type": "queue", "queue_id": "orders"}},
    )


def test_wrong_overflow_rules_and_circles_are_named_with_their_line() -> None:
    text = GOOD.replace("      late:\n", f"      late:\n{OVERFLOWS}")
    assert [one.split(": ", 1)[1] for one in wrong_of(text)] == [
        'queue orders: overflow: calls would go round for ever (orders -> late -> orders), not "late"',
        'queue late: overflows.0: calls would go round for ever (late -> orders -> late), not "orders"',
        'queue late: overflows.2: calls would go round for ever (late -> orders -> late), not "orders"',
    ]
    assert wrong_of(text)[1].startswith(f"floor.yaml:{line_of(text, 'type: waited')}:")
    wrong = OVERFLOWS.replace("type: closed, waiting: true", "type: full").replace("queue_id: orders", "queue_id: none")
    messages = wrong_of(GOOD.replace("      late:\n", f"      late:\n{wrong}"))
    assert len(messages) == 3, messages


def test_sites_are_named_where_they_are_missing() -> None:
    cover = """\
        cover: [{sites: [lyon]}, {sites: [none], hours: {week: {mon: [["8", "9"]]}}}]
        overflows:
          - {when: {type: site_down, site_id: nowhere}, to: {type: site, site_id: lyon}}
"""
    text = "sites:\n  lyon: {name: Lyon, time_zone: Europe/Paris}\n" + GOOD.replace(
        "      late:\n", f"      late:\n{cover}"
    )
    messages = wrong_of(text)
    assert [message.split(": ", 1)[1] for message in messages if "no such site" in message] == [
        'queue late: cover.1.sites.0: there is no such site, not "none"',
        'queue late: overflows.0.when.site_id: there is no such site, not "nowhere"',
    ]
    assert sum("cover" in message and "is not a time of day" in message for message in messages) == 1
    lost = GOOD.replace("count: ", "site: lyons, count: ", 1)
    assert any("no such site" in message for message in wrong_of("sites: {lyon: {name: L, time_zone: UTC}}\n" + lost))


def test_a_split_comes_to_a_hundred_and_leads_where_there_is_something() -> None:
    split = """\
        split:
          - {percent: 60, to: {type: queue, queue_id: orders}}
          - {percent: 30, to: {type: number, name: nobody}}
          - {percent: 20, to: {type: message, message: sorry}}
"""
    text = GOOD.replace("      late:\n", f"      late:\n{split}")
    messages = [message.split(": ", 1)[1] for message in wrong_of(text)]
    assert any("calls would go round for ever (late -> orders -> late)" in message for message in messages)
    assert any("split: the percentages come to 110, not to 100" in message for message in messages)
    assert any("split.1.to.name: the tenant's directory has no such number" in message for message in messages)
    assert any("must be queue, site, number or stay" in message for message in messages)


def test_wrong_shares_are_named_with_their_line() -> None:
    shares = """\
    shares:
      boat: {reserved_positions: 3, most_positions: 2}
      boats:
        burst: {guaranteed_positions: 2, most_positions: 1, hours: {week: {mon: [["08:00", "12:00"], ["11:00", "13:00"]]}}}
"""
    text = GOOD.replace("    positions:\n", f"{shares}    positions:\n", 1)
    assert [message.split(": ", 1)[1] for message in wrong_of(text)] == [
        'pools.room.shares.boat: there is no such tenant (did you mean "boats"?), not "boat"',
        "pools.room.shares.boat.reserved_positions: is more than most_positions, 2",
        "pools.room.shares.boats.burst.guaranteed_positions: is more than most_positions, 1",
        "pools.room.shares.boats.burst.hours.week.mon.1: overlaps week.mon.0",
    ]
    assert wrong_of(text)[1].startswith(f"floor.yaml:{line_of(text, 'boat:')}:")
    for says in (
        "{}",
        "{release_after_seconds: 9, burst: {hours: {week: {mon: []}, exceptions: {2026-12-24: [['08:00', '09:00']]}}}}",
    ):
        (nothing,) = wrong_of(GOOD.replace("    positions:\n", f"    shares: {{boats: {says}}}\n    positions:\n", 1))
        assert "nothing is reserved, guaranteed or limited" in nothing


def test_a_webhook_that_names_no_events_gets_all_of_them_as_at_the_api() -> None:
    text = GOOD.replace(", event_types: [case.closed.v1]", "")
    assert text != GOOD
    assert set(parse(text).webhooks[0].event_types) == set(EVENT_TYPES)
    assert parse(GOOD).webhooks[0].event_types == ("case.closed.v1",)
    assert "at least 1" in wrong_of(GOOD.replace("[case.closed.v1]", "[]"))[0]
