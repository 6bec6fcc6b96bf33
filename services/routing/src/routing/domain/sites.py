"""What becomes of agents and calls when a site goes down, is drained, or comes up again."""

from __future__ import annotations

from routing.domain import engagements, entries, shifts
from routing.domain.agents import Available, Serving, ThenAvailable
from routing.domain.configuration import Site
from routing.domain.overflows import move_possible, moves_when_down
from routing.domain.turns import Turn


def configure(turn: Turn, site: Site) -> None:
    """Take over whether the site is down or drained. Agents follow it also where the pool has read it before."""
    was_down = turn.pool.is_down(site.id)
    turn.pool.configure_site(site)
    if not turn.pool.is_down(site.id):
        _come_up(turn, site.id)
        return
    _clear(turn, site.id)
    if not was_down:
        _send_on(turn, site.id)


def _clear(turn: Turn, site_id: str) -> None:
    """Calls that ring there go on to others; who is drained with the site leaves, at once or after their calls."""
    pool = turn.pool
    for agent_id in [agent.id for agent in pool.agents_at(site_id)]:
        drain = pool.drained(agent_id)
        if drain is not None:
            shifts.drain(turn, pool.agents[agent_id], drain)
        for one in pool.agents[agent_id].calls:
            if one.phase == "offered":
                engagements.take_back(turn, pool.agents[agent_id], one.call_id)
        turn.release(agent_id)


def _send_on(turn: Turn, site_id: str) -> None:
    """Calls that wait go elsewhere where a rule says so."""
    pool = turn.pool
    for queue in sorted(pool.queues, key=lambda one: one.id):
        moves = moves_when_down(pool, queue, site_id)
        for call in pool.waiting_in(queue.id) if moves else ():
            move = move_possible(pool, call, moves)
            if move is not None:
                entries.move_on(turn, call, move)


def _come_up(turn: Turn, site_id: str) -> None:
    """Its agents serve again, the longest idle first."""
    agents = sorted(turn.pool.agents_at(site_id), key=lambda one: (one.state.since, one.id))
    for agent in agents:
        match agent.state:
            case Available() | Serving(then=ThenAvailable()):
                turn.serve(agent)
            case _:
                pass
