"""The shared floor in a pool: which agents are whose at this moment, by the shares of its tenants.

- **Reserved**: while fewer agents serve a tenant than are reserved for it, it is short. A short tenant keeps the
  available agents who may serve it as soon as there are no more of them than it is short of: then calls of other
  tenants may not take one, unless their own tenant is short too, or they have waited for the share's release time.
- **Most**: calls of a tenant that as many agents serve as it may have at most take nobody.
- **Guaranteed**: an agent who comes free takes, of the calls that they may take, first those of tenants with fewer
  agents than they are guaranteed.

The order within these bounds is the pool's own: by priority and waiting time, or by declared weights. Weights never
withhold an agent from a tenant that is short or has not its guarantee.

An agent with a declared capacity serves once with each of their calls, and is available once for each channel of which
they could take one more.

Nothing here looks at single calls or agents: tenants are bit sets of bins and of groups, and the calls that have waited
for a share's release time lie in bins of their own. A decision costs some bit operations for each share.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Literal, NamedTuple, TypeAlias

from sortedcontainers import SortedList

from routing.domain.agents import Agent
from routing.domain.calls import Call
from routing.domain.groups import Group, Groups, Rule
from routing.domain.matching import Bins
from routing.domain.shares import Positions, Share
from routing.domain.timers import Timers
from routing.domain.weighing import Weighing

Key: TypeAlias = tuple[float, str]
View: TypeAlias = tuple[Bins[Key], int]
"""Waiting calls that may be taken: bins, and which of them."""
Reason = Literal["reserved", "guaranteed", "released"]
"""Why a call took an agent: they were kept for its tenant; its tenant had not its guarantee, and so it came before
others; they were kept for another tenant, but the call had waited for the release time."""


class TenantRing(NamedTuple):
    """A ring of a tenant's queue; `rule` is given for the first one, which says who may serve the tenant."""

    tenant_id: str
    number: int
    rule: Rule | None


class Standing(NamedTuple):
    """How a share stands at a moment."""

    positions: Positions
    burst_is_on: bool
    serving: int
    available: int
    """Agents who may serve the tenant and are available."""
    short: int
    """So many more agents are reserved than serve."""


class _Slot:
    """A share, what is in force of it, and the tenant's side of the indexes."""

    __slots__ = (
        "bins",
        "burst_is_on",
        "changes_at",
        "eligible",
        "pending",
        "positions",
        "released",
        "serving",
        "share",
    )

    def __init__(self, share: Share) -> None:
        self.share = share
        self.positions = Positions()
        self.burst_is_on = False
        self.changes_at: datetime | None = None
        self.serving = 0
        self.bins = 0
        """Of all rings of the tenant's queues."""
        self.eligible = 0
        """The groups who may serve a call of the tenant from its first moment on."""
        self.pending: SortedList[tuple[datetime, str, int, Key]] = SortedList()
        """Waiting calls of other tenants by when they came, until they have waited for the release time: then they are
        in `released`, in the same bins as among all that wait."""
        self.released: Bins[Key] = Bins()

    @property
    def short(self) -> int:
        return max(0, self.positions.reserved_positions - self.serving)

    @property
    def is_owed(self) -> bool:
        return self.serving < self.positions.guaranteed_positions

    @property
    def is_full(self) -> bool:
        most = self.positions.most_positions
        return most is not None and self.serving >= most

    def releases_at(self, since: datetime) -> datetime | None:
        """When a call of another tenant that came then may take agents who are kept; None: never."""
        after = self.share.release_after_seconds
        return None if after is None else since + timedelta(seconds=after)

    def has_released(self, since: datetime, now: datetime) -> bool:
        at = self.releases_at(since)
        return at is not None and at <= now

    def due(self) -> datetime | None:
        """When its burst is switched or the next call has waited for the release time."""
        first = self.releases_at(self.pending[0][0]) if self.pending else None
        return min((at for at in (first, self.changes_at) if at is not None), default=None)


class _Bounds(NamedTuple):
    """What the shares come to at a moment: bins of tenants, and the shares that keep agents."""

    full: int
    short: int
    owed: int
    keepers: list[_Slot]


class Sharing:
    """The shares of a pool."""

    def __init__(
        self, groups: Groups, waiting: Bins[Key], timers: Timers, rings: Callable[[], Iterable[TenantRing]]
    ) -> None:
        self._groups = groups
        self._waiting = waiting
        self._timers = timers
        self._rings = rings
        self._known: dict[str, Share] = {}
        self.slots: dict[str, _Slot] = {}
        """By tenant: the shares that say something. A pool without any asks nothing else of this class."""
        self.may_release = False
        """Whether there are shares, or were when calls were last let through."""
        self.is_laid = False
        """Whether bins and groups of the tenants are those of the queues and agents as they are."""
        self.is_tight = True
        """Whether there may be a waiting call beside an available agent who has the skills for it."""

    # what is declared

    @property
    def known(self) -> list[Share]:
        """Every share, also those that say nothing any more."""
        return list(self._known.values())

    def configure(self, share: Share, now: datetime, agents: Iterable[Agent]) -> bool:
        """Take over a share unless a newer one is known; the waiting calls are to be added next."""
        known = self._known.get(share.tenant_id)
        if known is not None and share.version <= known.version:
            return False
        self._known[share.tenant_id] = share
        self.slots.pop(share.tenant_id, None)
        if share.says_something:
            slot = self.slots[share.tenant_id] = _Slot(share)
            slot.serving = sum(one.call_tenant_id == share.tenant_id for agent in agents for one in agent.calls)
            self.follow(share.tenant_id, now)
        self.is_laid, self.is_tight, self.may_release = False, True, True
        return True

    def follow(self, tenant_id: str, at: datetime) -> None:
        """What its hours and the waiting times of calls say for that time."""
        slot = self.slots.get(tenant_id)
        if slot is None:
            return
        slot.positions, slot.burst_is_on = slot.share.positions_at(at), slot.share.bursts_at(at)
        slot.changes_at = slot.share.changes_after(at)
        self.is_tight = True
        while slot.pending and slot.has_released(slot.pending[0][0], at):
            _, _, number, key = slot.pending.pop(0)
            slot.released.reach(number)
            slot.released.add(number, key)
        if (due := slot.due()) is not None:
            self._timers.set_share(tenant_id, due)

    def due(self, tenant_id: str) -> datetime | None:
        """When `follow` is due."""
        slot = self.slots.get(tenant_id)
        return None if slot is None else slot.due()

    # what moves

    def count(self, agent: Agent, by: int) -> None:
        """The agent begins (1) or ceases (-1) to serve the tenants of their calls."""
        for one in agent.calls:
            slot = self.slots.get(one.call_tenant_id)
            if slot is not None:
                slot.serving += by

    def add(self, call: Call, number: int, key: Key, now: datetime, only: str | None = None) -> None:
        """The call waits in this bin; `only`: told to that tenant's share alone."""
        for tenant_id, slot in self.slots.items():
            at = slot.releases_at(call.first_queued_at)
            if at is None or tenant_id == call.tenant_id or only not in (None, tenant_id):
                continue
            if at <= now:
                slot.released.reach(number)
                slot.released.add(number, key)
            else:
                slot.pending.add((call.first_queued_at, call.id, number, key))
                self._timers.set_share(tenant_id, at)

    def remove(self, call: Call, number: int, key: Key) -> None:
        """It waits there no more."""
        for tenant_id, slot in self.slots.items():
            if slot.share.release_after_seconds is None or tenant_id == call.tenant_id:
                continue
            entry = (call.first_queued_at, call.id, number, key)
            if entry in slot.pending:
                slot.pending.remove(entry)
            else:
                slot.released.remove(number, key)

    # what it comes to

    def standing(self, tenant_id: str) -> Standing | None:
        """How the tenant's share stands; None if it has none that says something."""
        self._lay()
        slot = self.slots.get(tenant_id)
        if slot is None:
            return None
        available = self._groups.available_in(slot.eligible)
        return Standing(slot.positions, slot.burst_is_on, slot.serving, available, slot.short)

    def is_entitled(self, tenant_id: str) -> bool:
        """Whether the tenant has fewer agents than are reserved for it or guaranteed to it."""
        slot = self.slots.get(tenant_id)
        return slot is not None and (slot.short > 0 or slot.is_owed)

    def is_full(self, tenant_id: str) -> bool:
        """Whether the tenant has as many agents as it may have at most."""
        slot = self.slots.get(tenant_id)
        return slot is not None and slot.is_full

    def groups_for(self, tenant_id: str, since: datetime, now: datetime) -> int:
        """The groups whose available agents a call of the tenant may take that came at `since`; -1: all."""
        own = self.slots.get(tenant_id)
        if own is not None and own.is_full:
            return 0
        allowed = -1
        if own is None or not own.short:
            for keeper in self._bounds().keepers:
                if not keeper.has_released(since, now):
                    allowed &= ~keeper.eligible
        return allowed

    def lasting_groups(self, tenant_id: str) -> int:
        """The groups whose agents calls of the tenant may take, if not now then later, while the agents and figures
        stay as they are; -1: all. None if the tenant may have nobody; not those that other tenants could serve with,
        of whom as many are reserved as there are and who are never released."""
        own = self.slots.get(tenant_id)
        if own is not None and own.positions.most_positions == 0:
            return 0
        if own is not None and own.positions.reserved_positions:
            return -1
        self._lay()
        allowed = -1
        for slot in self.slots.values():
            reserved = slot.positions.reserved_positions
            if slot is own or not reserved or slot.share.release_after_seconds is not None:
                continue
            if self._groups.staying_in(slot.eligible) <= reserved:
                allowed &= ~slot.eligible
        return allowed

    def keepers(self, tenant_id: str, rule: Rule, since: datetime, now: datetime) -> list[str]:
        """The tenants for which available agents who meet the rule are kept from such a call."""
        own = self.slots.get(tenant_id)
        if own is not None and own.short:
            return []
        return sorted(
            keeper.share.tenant_id
            for keeper in self._bounds().keepers
            if not keeper.has_released(since, now) and self._groups.available_in(keeper.eligible & rule.groups)
        )

    def next_call(
        self, groups: Sequence[Group], alone: Sequence[tuple[Call, Group]], weighing: Weighing | None, now: datetime
    ) -> str | None:
        """The waiting call that an agent takes who is available in these groups. `alone`: those that wait for the agent
        alone, each with its group, in the order of service; they come before the others that have the same right."""
        bounds = self._bounds()
        each = [found for group in groups if (found := self._choose(bounds, group, weighing, now)) is not None]
        chosen = min(each, key=(lambda one: one[0]) if weighing else None, default=None)
        may = [
            call
            for call, group in alone
            if self.groups_for(call.tenant_id, call.first_queued_at, now) >> group.number & 1
        ]
        owed = [one for one in may if one.tenant_id in self.slots and self.slots[one.tenant_id].is_owed]
        if owed:
            return owed[0].id
        if chosen is not None and chosen[0] == 0:
            return chosen[1][-1]
        if may:
            return may[0].id
        if chosen is None:
            self.is_tight = True
            return None
        return chosen[1][-1]

    def releasable(self, weighing: Weighing | None, now: datetime) -> str | None:
        """A waiting call that may take an available agent now; None if there is none."""
        self.may_release = bool(self.slots) or self.is_tight
        if not self.is_tight:
            return None
        bounds, first = self._bounds(), None
        self.is_tight = False
        for group in self._groups.with_somebody_available():
            if not group.fitting & self._waiting.filled:
                continue
            self.is_tight = True
            chosen = self._choose(bounds, group, weighing, now)
            if chosen is not None and (first is None or chosen < first):
                first = chosen
                if weighing is not None:
                    break
        return None if first is None else first[1][-1]

    def reason(self, call: Call, key: Key, group: Group, *, came_free: bool) -> Reason | None:
        """Why the call, which waits or has just come, takes an agent of the group; None: not because of shares."""
        own = self.slots.get(call.tenant_id)
        bounds = self._bounds()
        if any(keeper.eligible >> group.number & 1 for keeper in bounds.keepers):
            return "reserved" if own is not None and own.short else "released"
        if own is not None and own.is_owed and came_free:
            for bins, bits in self._views(bounds, group):
                other = bins.best(bits & ~bounds.owed)
                if other is not None and other < key:
                    return "guaranteed"
        return None

    def _choose(
        self, bounds: _Bounds, group: Group, weighing: Weighing | None, now: datetime
    ) -> tuple[int, Key] | None:
        """The call that somebody of the group takes: 0 with a right that goes before, else 1, and its key."""
        views = self._views(bounds, group)
        owed = [(bins, bits & bounds.owed) for bins, bits in views] if bounds.owed else []
        if weighing is None:
            for rank, some in ((0, owed), (1, views)):
                keys = [key for bins, bits in some if (key := bins.best(bits)) is not None]
                if keys:
                    return rank, min(keys)
            return None
        short = [(bins, bits & bounds.short) for bins, bits in views]
        for rank, some, withhold in ((0, owed, False), (1, views, True), (1, short, False)):
            found = weighing.next_call(group, now, some, withhold=withhold)
            if found is not None:
                return rank, found
        return None

    def _views(self, bounds: _Bounds, group: Group) -> list[View]:
        open_to = group.fitting & ~bounds.full
        keepers = [keeper for keeper in bounds.keepers if keeper.eligible >> group.number & 1]
        if not keepers:
            return [(self._waiting, open_to)]
        views: list[View] = [(self._waiting, open_to & bounds.short)]
        if all(keeper.share.release_after_seconds is not None for keeper in keepers):
            last = max(keepers, key=lambda keeper: keeper.share.release_after_seconds or 0.0)
            views.append((last.released, open_to & ~bounds.short))
        return views

    def _bounds(self) -> _Bounds:
        self._lay()
        full = short = owed = 0
        keepers = []
        for slot in self.slots.values():
            if slot.is_full:
                full |= slot.bins
                continue
            if slot.short:
                short |= slot.bins
                if self._groups.available_in(slot.eligible) <= slot.short:
                    keepers.append(slot)
            if slot.is_owed:
                owed |= slot.bins
        return _Bounds(full, short, owed, keepers)

    def _lay(self) -> None:
        if self.is_laid:
            return
        for slot in self.slots.values():
            slot.bins = slot.eligible = 0
        for ring in self._rings():
            slot_of_ring = self.slots.get(ring.tenant_id)
            if slot_of_ring is not None:
                slot_of_ring.bins |= 1 << ring.number
                if ring.rule is not None:
                    slot_of_ring.eligible |= ring.rule.groups
        self.is_laid = True
