"""The agents with a declared capacity: in which groups they are, and in which of these they could take a call now."""

from __future__ import annotations

from common.events.routing import Channel

from routing.domain.agents import CHANNELS, Agent
from routing.domain.capacity import serves, takes
from routing.domain.configuration import AgentProfile, Capacity
from routing.domain.groups import Group, Groups


class Seats:
    """`of`: their groups by channel, by agent; whoever is not in it takes one call at a time."""

    def __init__(self, groups: Groups) -> None:
        self._groups = groups
        self._capacities: dict[str, Capacity] = {}
        self.of: dict[str, dict[Channel, Group]] = {}

    def configure(self, profile: AgentProfile) -> None:
        """The agent, who is indexed nowhere, has this capacity from now on."""
        capacity = profile.capacity
        if capacity is None:
            self._capacities.pop(profile.id, None)
            self.of.pop(profile.id, None)
            return
        self._capacities[profile.id] = capacity
        self.of[profile.id] = {
            channel: self._groups.group(profile.levels, channel) for channel in CHANNELS if serves(capacity, channel)
        }

    def capacity_of(self, agent_id: str) -> Capacity | None:
        """As declared; None: one call at a time."""
        return self._capacities.get(agent_id)

    def takes(self, agent: Agent) -> tuple[Channel, ...]:
        """The channels of which the agent could take one more call."""
        return takes(agent.state, self._capacities[agent.id])

    def groups_of(self, agent: Agent) -> list[tuple[Group, bool]]:
        """Each of their groups, and whether they could take one more call there."""
        free = self.takes(agent)
        return [(group, channel in free) for channel, group in self.of[agent.id].items()]
