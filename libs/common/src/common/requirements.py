"""What an agent must be able to do to serve a call, as an operator writes it.

    french >= 5 and (billing or disputes)

A skill alone means level 1 or more; `>=` asks for more, up to 10. `and` binds closer than `or`. There is no `not`: an
agent who learns something never loses calls by it. Nothing but the skills' names and levels is known here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final, TypeAlias

import msgspec

HIGHEST: Final = 10
"""Levels go from 1 to this."""
LONGEST: Final = 500
"""Characters of a requirement."""
DEEPEST: Final = 20
"""Parentheses within parentheses."""
_TOKEN: Final = re.compile(r"\s*(?:(?P<word>[a-z0-9][a-z0-9-]{0,62}(?![A-Za-z0-9_-]))|(?P<mark>>=|[()]))")


class Has(msgspec.Struct, frozen=True):
    """The skill at this level or above.."""

    skill: str
    level: int = 1


class AllOf(msgspec.Struct, frozen=True):
    """Every part; of no parts at all: everybody."""

    parts: tuple[Requirement, ...]


class AnyOf(msgspec.Struct, frozen=True):
    parts: tuple[Requirement, ...]


Requirement: TypeAlias = Has | AllOf | AnyOf
EVERYBODY: Final = AllOf(())


class WrongRequirement(ValueError):
    """The text is no requirement: what was expected at which column (from 1)."""

    def __init__(self, column: int, expected: str) -> None:
        self.column = column
        self.expected = expected
        super().__init__(f"column {column}: expected {expected}")


def parse(text: str) -> Requirement:
    """The requirement that the text says. Raises WrongRequirement."""
    return _Reader(text).whole()


def mentions(text: str) -> list[tuple[str, int]]:
    """Every skill as often as the text names it, with its column. Raises WrongRequirement."""
    reader = _Reader(text)
    reader.whole()
    return reader.mentioned


def all_of(skills: tuple[str, ...]) -> Requirement:
    """All these skills, at any level."""
    parts = tuple(Has(skill) for skill in skills)
    return parts[0] if len(parts) == 1 else AllOf(parts)


def any_of(first: Requirement, second: Requirement) -> Requirement:
    """What is met when one of the two is."""
    if EVERYBODY in (first, second):
        return EVERYBODY
    parts = (*(first.parts if isinstance(first, AnyOf) else (first,)), second)
    return first if second in parts[:-1] else AnyOf(parts)


def with_skills(requirement: Requirement, skills: tuple[str, ...]) -> Requirement:
    """The requirement, and all these skills at any level."""
    parts = requirement.parts if isinstance(requirement, AllOf) else (requirement,)
    more = tuple(Has(skill) for skill in skills if Has(skill) not in parts)
    return AllOf((*parts, *more)) if more else requirement


def is_met(requirement: Requirement, levels: Mapping[str, int]) -> bool:
    """Whether somebody with these skills (level by skill) may serve."""
    match requirement:
        case Has(skill=skill, level=level):
            return levels.get(skill, 0) >= level
        case AllOf(parts=parts):
            return all(is_met(part, levels) for part in parts)
        case AnyOf(parts=parts):
            return any(is_met(part, levels) for part in parts)


def skills_of(requirement: Requirement) -> list[str]:
    """The skills that it names, each once, in their order."""
    return list(dict.fromkeys(_named(requirement)))


def _named(requirement: Requirement) -> Iterator[str]:
    match requirement:
        case Has(skill=skill):
            yield skill
        case AllOf(parts=parts) | AnyOf(parts=parts):
            for part in parts:
                yield from _named(part)


def text_of(requirement: Requirement) -> str:
    """The requirement in the words that `parse` reads; empty for everybody."""
    match requirement:
        case Has(skill=skill, level=level):
            return skill if level == 1 else f"{skill} >= {level}"
        case AllOf(parts=parts):
            return " and ".join(f"({text_of(one)})" if isinstance(one, AnyOf) else text_of(one) for one in parts)
        case AnyOf(parts=parts):
            return " or ".join(text_of(part) for part in parts)


class _Reader:
    """Reads a text once, from left to right."""

    def __init__(self, text: str) -> None:
        if len(text) > LONGEST:
            raise WrongRequirement(LONGEST + 1, f"at most {LONGEST} characters")
        self._text = text
        self._at = 0
        self._depth = 0
        self.mentioned: list[tuple[str, int]] = []

    def whole(self) -> Requirement:
        found = self._any()
        if self._next() is not None or self._rest():
            raise WrongRequirement(self._column(), "'and', 'or' or the end")
        return found

    def _any(self) -> Requirement:
        parts = [self._all()]
        while self._take("or"):
            parts.append(self._all())
        return parts[0] if len(parts) == 1 else AnyOf(tuple(parts))

    def _all(self) -> Requirement:
        parts = [self._one()]
        while self._take("and"):
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else AllOf(tuple(parts))

    def _one(self) -> Requirement:
        if self._take("("):
            self._depth += 1
            if self._depth > DEEPEST:
                raise WrongRequirement(self._at, f"at most {DEEPEST} parentheses within each other")
            inner = self._any()
            if not self._take(")"):
                raise WrongRequirement(self._column(), "'and', 'or' or ')'")
            self._depth -= 1
            return inner
        column, word = self._column(), self._word()
        if word is None or word in ("and", "or"):
            raise WrongRequirement(column, "a skill or '('")
        if word == "not":
            raise WrongRequirement(column, "a skill or '(' (there is no 'not')")
        self.mentioned.append((word, column))
        return Has(word, self._level() if self._take(">=") else 1)

    def _level(self) -> int:
        column, word = self._column(), self._word()
        if word is None or not (word.isascii() and word.isdecimal()) or not 1 <= int(word) <= HIGHEST:
            raise WrongRequirement(column, f"a level from 1 to {HIGHEST}")
        return int(word)

    def _next(self) -> re.Match[str] | None:
        return _TOKEN.match(self._text, self._at)

    def _take(self, token: str) -> bool:
        found = self._next()
        if found is None or found[0].strip() != token:
            return False
        self._at = found.end()
        return True

    def _word(self) -> str | None:
        found = self._next()
        if found is None or found["word"] is None:
            return None
        self._at = found.end()
        return found["word"]

    def _rest(self) -> str:
        return self._text[self._at :].strip()

    def _column(self) -> int:
        """Where the next thing that is no blank stands, from 1."""
        return len(self._text) - len(self._text[self._at :].lstrip()) + 1
