"""Who may serve what: agents in groups of the same skills, and the bins of calls that each group may take.

Both sides meet in the rules, one for each distinct requirement: a rule knows the groups that meet it and the bins of
waiting calls (one for each ring of a queue) that ask for it. A requirement is looked at once for each group, when the
later of the two appears; a decision only combines bit sets.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Final, TypeAlias

from common.events.routing import Channel
from common.requirements import HIGHEST, Requirement, is_met, skills_of, text_of
from sortedcontainers import SortedDict

from routing.domain.agents import Agent, LoggedOut, Serving
from routing.domain.configuration import AgentOrder, without_sites
from routing.domain.matching import Bins, numbers_in

IdleKey: TypeAlias = tuple[bool, float, int, float, str]
"""Behind all others, what is ordered by, number of skills, idle since, id."""


CALL_AT_HAND: Final = 10 * 365 * 86_400.0
"""Seconds. Of agents who come alike otherwise, one who has calls at hand comes after those who have fewer: each call
counts as if they had become available so much later, or handled calls so much more slowly."""


_BEHIND: Final = (True, -inf, -1, 0.0, "")
"""Before every key of an agent who missed their last offer, after every other."""


class Rule:
    """One requirement of calls of one channel: the groups that meet it, the bins of calls that ask for it."""

    __slots__ = ("bins", "channel", "groups", "requirement", "skills", "text")

    def __init__(self, requirement: Requirement, channel: Channel) -> None:
        self.requirement = requirement
        self.channel = channel
        self.skills = skills_of(requirement)
        self.text = text_of(requirement)
        self.groups = 0
        self.bins = 0


class Group:
    """Agents with the same skills at the same levels: the bin of those available, the bins of calls they may take.

    An agent who takes one call at a time is in one group, for every channel (None). An agent with a declared capacity
    is in a group for each channel that they take, and available there while they could take one more call of it."""

    __slots__ = ("breadth", "channel", "down", "fitting", "levels", "number", "on_duty", "queue_ids", "staying")

    def __init__(self, levels: Mapping[str, int], channel: Channel | None, number: int) -> None:
        self.levels = levels
        self.channel = channel
        self.breadth = len(without_sites(levels))
        """Number of skills; where the agents are is none."""
        self.down = False
        """Their site is down: they may serve nothing."""
        self.number = number
        self.fitting = 0
        self.on_duty = 0
        """Agents who are logged in."""
        self.staying = 0
        """Those of them who are not about to leave: they may serve calls that wait."""
        self.queue_ids: list[str] | None = None
        """Kept by the pool until `fitting` changes."""

    def meets(self, rule: Rule) -> bool:
        """Whether its agents may serve calls that ask for this."""
        if self.down or self.channel not in (None, rule.channel):
            return False
        return is_met(rule.requirement, self.levels)


class Groups:
    """The groups, the rules, and the available agents in the order in which they are offered calls."""

    def __init__(self) -> None:
        self._groups: dict[tuple[Channel | None, tuple[tuple[str, int], ...]], Group] = {}
        self._numbered: list[Group] = []
        self._rules: dict[tuple[Channel, Requirement], Rule] = {}
        self._idle: Bins[IdleKey] = Bins()
        self._speed: Bins[IdleKey] | None = None
        """The same agents by their mean handling time, once a queue wants that."""
        self._with_level: dict[tuple[str, int], int] = {}
        """(skill, level) -> the groups that have it at this level."""
        self._by_flexibility: SortedDict[int, int] = SortedDict()
        """Number of skills -> the groups that have so many."""
        self._down: set[str] = set()
        """Skills of the sites that are down."""
        self._behind = 0
        """Available agents who missed their last offer."""
        self.staffed = 0
        """The groups with somebody who stays."""

    # requirements

    def attach(self, requirement: Requirement, channel: Channel, number: int) -> Rule:
        """A bin of waiting calls of the channel now asks for this."""
        rule = self._rules.get((channel, requirement))
        if rule is None:
            rule = self._rules[channel, requirement] = Rule(requirement, channel)
            for group in self._numbered:
                if group.meets(rule):
                    rule.groups |= 1 << group.number
        self._flip(rule, number)
        return rule

    def detach(self, rule: Rule, number: int) -> None:
        """The bin no longer asks for it."""
        self._flip(rule, number)
        if not rule.bins:
            del self._rules[rule.channel, rule.requirement]

    def _flip(self, rule: Rule, number: int) -> None:
        rule.bins ^= 1 << number
        for at in numbers_in(rule.groups):
            group = self._numbered[at]
            group.fitting ^= 1 << number
            group.queue_ids = None

    def group(self, skills: Mapping[str, int], channel: Channel | None = None) -> Group:
        """The group of agents with these skills, for calls of the channel (None: of all)."""
        key = tuple(sorted(skills.items()))
        group = self._groups.get((channel, key))
        if group is not None:
            return group
        group = self._groups[channel, key] = Group(dict(key), channel, self._idle.open())
        if self._speed is not None:
            self._speed.open()
        self._numbered.append(group)
        group.down = not self._down.isdisjoint(group.levels)
        bit = 1 << group.number
        for rule in self._rules.values():
            if group.meets(rule):
                rule.groups |= bit
                group.fitting |= rule.bins
        for skill_and_level in key:
            self._with_level[skill_and_level] = self._with_level.get(skill_and_level, 0) | bit
        self._by_flexibility[group.breadth] = self._by_flexibility.get(group.breadth, 0) | bit
        return group

    def set_down(self, skill: str, *, down: bool) -> None:
        """The agents of a site, which has this skill, meet no requirement any more, or theirs again."""
        (self._down.add if down else self._down.discard)(skill)
        for group in self._numbered:
            if skill in group.levels:
                bit, group.fitting, group.queue_ids = 1 << group.number, 0, None
                group.down = down
                for rule in self._rules.values():
                    rule.groups &= ~bit
                    if group.meets(rule):
                        rule.groups |= bit
                        group.fitting |= rule.bins

    # available agents

    def add(self, agent: Agent, group: Group, *, available: bool, stays: bool) -> None:
        """Count the agent if they are logged in, and show them."""
        group.on_duty += not isinstance(agent.state, LoggedOut)
        self.show(agent, group, available=available, stays=stays)

    def remove(self, agent: Agent, group: Group, *, available: bool, stays: bool) -> None:
        """Undo `add` of the same agent in the same state."""
        group.on_duty -= not isinstance(agent.state, LoggedOut)
        self.hide(agent, group, available=available, stays=stays)

    def show(self, agent: Agent, group: Group, *, available: bool, stays: bool) -> None:
        """Index the agent if they could take a call of the group's channel, now (`available`) or later (`stays`)."""
        if stays:
            group.staying += 1
            self.staffed |= 1 << group.number
        if available:
            self._behind += agent.missed_offers > 0
            self._idle.add(group.number, _idle_key(agent, group))
            if self._speed is not None:
                self._speed.add(group.number, _speed_key(agent, group))

    def hide(self, agent: Agent, group: Group, *, available: bool, stays: bool) -> None:
        """Undo `show` of the same agent in the same state."""
        if stays:
            group.staying -= 1
            if not group.staying:
                self.staffed ^= 1 << group.number
        if available:
            self._behind -= agent.missed_offers > 0
            self._idle.remove(group.number, _idle_key(agent, group))
            if self._speed is not None:
                self._speed.remove(group.number, _speed_key(agent, group))

    def order_by_speed(self, agents: Mapping[str, Agent]) -> None:
        """Keep the agents in order of their handling time too, from now on."""
        if self._speed is not None:
            return
        self._speed = Bins()
        for group in self._numbered:
            number = self._speed.open()
            for key in self._idle.keys(group.number):
                self._speed.add(number, _speed_key(agents[key[-1]], group))

    def best(self, rule: Rule, order: AgentOrder, only: int = -1) -> str | None:
        """The id of the first of the available agents who meet the rule, of the groups whose bit is set in `only`."""
        candidates = self._idle.filled & rule.groups & only
        if not candidates:
            return None
        bins = self._idle
        match order:
            case "longest_idle":
                pass
            case "best_level":
                candidates = self._least_flexible(self._at_best_level(self._in_front(candidates), rule))
            case "least_flexible":
                candidates = self._least_flexible(self._in_front(candidates))
            case "fastest":
                bins = self._speed or bins
        key = bins.best(candidates)
        return key[-1] if key else None

    def available(self, rule: Rule) -> tuple[int, int]:
        """How many agents who meet the rule are available, in how many groups."""
        return self._idle.count(rule.groups), (self._idle.filled & rule.groups).bit_count()

    def behind(self, rule: Rule) -> int:
        """How many of the available agents who meet the rule come behind the others: they missed their last offer."""
        if not self._behind:
            return 0
        return sum(self._idle.beyond(number, _BEHIND) for number in numbers_in(self._idle.filled & rule.groups))

    def available_in(self, groups: int) -> int:
        """How many agents of the groups whose bit is set are available."""
        return self._idle.count(groups)

    def staying_in(self, groups: int) -> int:
        """How many agents of the groups whose bit is set stay."""
        return sum(self._numbered[number].staying for number in numbers_in(groups & self.staffed))

    def with_available(self, rule: Rule, only: int = -1) -> list[int]:
        """The numbers of the groups who meet the rule, are among `only`, and have somebody available, the longest idle
        first."""
        return sorted(numbers_in(self._idle.filled & rule.groups & only), key=self._idle.head)

    def with_somebody_available(self) -> list[Group]:
        """The groups who have somebody available, the longest idle first."""
        return [self._numbered[number] for number in sorted(numbers_in(self._idle.filled), key=self._idle.head)]

    def any_available(self) -> bool:
        """Whether anybody at all is available."""
        return bool(self._idle.filled)

    def numbered(self) -> list[Group]:
        """Every group by its number."""
        return self._numbered

    def _in_front(self, candidates: int) -> int:
        """Of these groups those with an available agent who did not miss their last offer; all if none has."""
        if not self._behind:
            return candidates
        found = 0
        for number in numbers_in(candidates):
            if not self._idle.head(number)[0]:
                found |= 1 << number
        return found or candidates

    def _at_best_level(self, candidates: int, rule: Rule) -> int:
        for level in range(HIGHEST, 0, -1):
            found = 0
            for skill in rule.skills:
                found |= self._with_level.get((skill, level), 0) & candidates
            if found:
                return found
        return candidates

    def _least_flexible(self, candidates: int) -> int:
        for groups in self._by_flexibility.values():
            if found := groups & candidates:
                return int(found)
        return candidates


def _idle_key(agent: Agent, group: Group) -> IdleKey:
    since = agent.state.since.timestamp()
    return (agent.missed_offers > 0, _place(agent, since), group.breadth, since, agent.id)


def _speed_key(agent: Agent, group: Group) -> IdleKey:
    mean = agent.handling_seconds or 0.0
    return (agent.missed_offers > 0, _place(agent, mean), group.breadth, agent.state.since.timestamp(), agent.id)


def _place(agent: Agent, place: float) -> float:
    state = agent.state
    return place + CALL_AT_HAND * len(state.calls) if isinstance(state, Serving) else place
