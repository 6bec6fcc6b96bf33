"""Requirements: read, met, named, written again; and every wrong text with its column."""

from __future__ import annotations

import pytest
from common.requirements import (
    DEEPEST,
    EVERYBODY,
    LONGEST,
    AllOf,
    AnyOf,
    Has,
    Requirement,
    WrongRequirement,
    all_of,
    any_of,
    is_met,
    mentions,
    parse,
    skills_of,
    text_of,
)
from hypothesis import given
from hypothesis import strategies as st

SKILLS = ["french", "billing", "second-line", "x2"]
levels = st.dictionaries(st.sampled_from(SKILLS), st.integers(1, 10))
leaves: st.SearchStrategy[Requirement] = st.builds(Has, st.sampled_from(SKILLS), st.integers(1, 10))


def _joined(parts: st.SearchStrategy[Requirement]) -> st.SearchStrategy[Requirement]:
    several = st.lists(parts, min_size=2, max_size=3).map(tuple)
    return st.builds(AllOf, several) | st.builds(AnyOf, several)


requirements: st.SearchStrategy[Requirement] = st.recursive(leaves, _joined, max_leaves=8)


def test_a_skill_alone_means_any_level_and_and_binds_closer_than_or() -> None:
    assert parse("french") == Has("french", 1)
    assert parse("a or b and c>=7") == AnyOf((Has("a"), AllOf((Has("b"), Has("c", 7)))))
    text = "french >= 5 and (billing or disputes)"
    assert parse(text) == AllOf((Has("french", 5), AnyOf((Has("billing"), Has("disputes")))))
    assert mentions(text) == [("french", 1), ("billing", 18), ("disputes", 29)]
    assert text_of(parse(text)) == text


@given(requirements, levels)
def test_what_is_written_again_means_the_same(requirement: Requirement, held: dict[str, int]) -> None:
    again = parse(text_of(requirement))
    assert is_met(again, held) == is_met(requirement, held)
    assert set(skills_of(again)) == set(skills_of(requirement))


@given(requirements, levels, st.sampled_from(SKILLS), st.integers(1, 10))
def test_to_learn_something_never_takes_a_call_away(
    requirement: Requirement, held: dict[str, int], skill: str, level: int
) -> None:
    better = {**held, skill: max(level, held.get(skill, 0))}
    assert is_met(requirement, better) or not is_met(requirement, held)


@given(requirements, requirements, levels)
def test_any_of_two_is_met_when_one_of_them_is(one: Requirement, other: Requirement, held: dict[str, int]) -> None:
    assert is_met(any_of(one, other), held) == (is_met(one, held) or is_met(other, held))
    assert any_of(one, EVERYBODY) == any_of(EVERYBODY, one) == EVERYBODY


@given(st.lists(st.sampled_from(SKILLS)), levels)
def test_a_list_of_skills_means_all_of_them(skills: list[str], held: dict[str, int]) -> None:
    assert is_met(all_of(tuple(skills)), held) == (set(skills) <= held.keys())


@pytest.mark.parametrize(
    ("text", "column", "expected"),
    [
        ("", 1, "a skill or '('"),
        ("   ", 4, "a skill or '('"),
        ("french and", 11, "a skill or '('"),
        ("french or or billing", 11, "a skill or '('"),
        ("not french", 1, "a skill or '(' (there is no 'not')"),
        ("french billing", 8, "'and', 'or' or the end"),
        ("french > 5", 8, "'and', 'or' or the end"),
        ("french >= ", 11, "a level from 1 to 10"),
        ("french >= 11", 11, "a level from 1 to 10"),
        ("french >= 0", 11, "a level from 1 to 10"),
        ("french >= five", 11, "a level from 1 to 10"),
        ("(french or billing", 19, "'and', 'or' or ')'"),
        ("(french))", 9, "'and', 'or' or the end"),
        ("French", 1, "a skill or '('"),
        ("french, billing", 7, "'and', 'or' or the end"),
        ("french and !", 12, "a skill or '('"),
        ("x" * 64, 1, "a skill or '('"),
        ("(" * (DEEPEST + 1) + "a", DEEPEST + 1, f"at most {DEEPEST} parentheses within each other"),
        ("a" * (LONGEST + 1), LONGEST + 1, f"at most {LONGEST} characters"),
    ],
)
def test_a_wrong_text_is_refused_with_its_column(text: str, column: int, expected: str) -> None:
    with pytest.raises(WrongRequirement) as refused:
        parse(text)
    assert (refused.value.column, refused.value.expected) == (column, expected)
    assert str(refused.value) == f"column {column}: expected {expected}"
