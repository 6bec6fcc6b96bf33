"""What becomes of agents and calls when a site goes down or comes up again."""

from __future__ import annotations

from routing.domain import engagements
from routing.domain.agents import Available, Serving, ThenAvailable
from routing.domain.configuration import Site
from routing.domain.overflows import move_possible, moves_when_down
from routing.domain.turns import Turn


def configure(turn: Turn, site: Site) -> None:
    """Take over whether the site is down."""
    was_down = turn.pool.is_down(site.id)
    if not turn.pool.configure_site(site) or site.down == was_down:
        return
    if site.down:
        _go_down(turn, site.id)
    else:
        _come_up(turn, site.id)


def _go_down(turn: Turn, site_id: str) -> None:
    """Calls that ring there go on to others, as those that wait do where a rule says so."""
    pool = turn.pool
    for agent in pool.agents_at(site_id):
        for one in agent.calls:
            if one.phase == "offered":
                engagements.take_back(turn, pool.agents[agent.id], one.call_id)
        turn.release(agent.id)
    for queue in sorted(pool.queues, key=lambda one: one.id):
        moves = moves_when_down(pool, queue, site_id)
        for call in pool.waiting_in(queue.id) if moves else ():
            move = move_possible(pool, call, moves)
            if move is not None:
                turn.move_on(call, move)


def _come_up(turn: Turn, site_id: str) -> None:
    """Its agents serve again, the longest idle first."""
    agents = sorted(turn.pool.agents_at(site_id), key=lambda one: (one.state.since, one.id))
    for agent in agents:
        match agent.state:
            case Available() | Serving(then=ThenAvailable()):
                turn.serve(agent)
            case _:
                pass
