"""What the owner of pools does with a batch of inputs: load, decide, save, publish; all in the batch's transaction."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from uuid import UUID

from common import outbox, telemetry
from common.consumer import Delivery
from common.database import Session
from common.errors import InvalidEvent
from msgspec.structs import replace

from routing.domain import inputs
from routing.domain.call_states import AskedQueue
from routing.domain.calls import Call
from routing.domain.decisions import decide
from routing.domain.flows import queue_ids_of
from routing.domain.pool import Pool
from routing.store import states


async def settle(session: Session, pools: MutableMapping[str, Pool], deliveries: Sequence[Delivery]) -> set[str]:
    """Decide the inputs in their order; returns the ids of the pools that they were for.

    `pools` is the caller's memory; pools that are not in it are loaded. When the transaction does not commit, the
    caller must forget them. Raises InvalidEvent for an input of a pool that nobody declared.
    """
    touched: set[str] = set()
    refusals: list[tuple[UUID, str, str]] = []
    for delivery in deliveries:
        given = delivery.event
        if not isinstance(given, inputs.AnyInput):
            raise InvalidEvent(f"{delivery.type} is no input of a pool")
        pool = pools.get(given.pool_id)
        if pool is None:
            loaded = await states.load(session, [given.pool_id])
            if not loaded:
                raise InvalidEvent(f"there is no pool {given.pool_id}")
            pool = pools[given.pool_id] = loaded[given.pool_id]
        touched.add(pool.id)
        await _learn(session, pool, given)
        if (elsewhere := await _elsewhere(session, pool, given)) is not None:
            handed_on = replace(given, pool_id=elsewhere, command_id=given.command_id or delivery.id)
            outbox.add(session, handed_on, traceparent=delivery.traceparent)
            continue
        if telemetry.tracing():
            with telemetry.with_traceparent(delivery.traceparent, f"decide {delivery.type}"):
                decision = decide(pool, given, delivery.traceparent)
        else:
            decision = decide(pool, given, delivery.traceparent)
        for fact in decision.facts:
            outbox.add(session, fact.event, traceparent=fact.traceparent or delivery.traceparent)
        if decision.refused is not None:
            refusals.append((given.command_id or delivery.id, given.tenant_id, decision.refused))
    if refusals:
        await states.refuse(session, refusals)
    await states.save(session, {pool_id: (pools[pool_id].now, *pools[pool_id].drain()) for pool_id in touched})
    memories = [(pool_id, memory) for pool_id in touched for memory in pools[pool_id].memories.drain()]
    if memories:
        await states.remember(session, memories)
    return touched


async def _elsewhere(session: Session, pool: Pool, given: inputs.AnyInput) -> str | None:
    """The pool that has the call which the input is about, or is about to get it; None: this one, or none has it.

    That may be this pool too: then the call is on its way here, and the input, published after it, comes behind it.
    """
    if isinstance(given, inputs.OfferCall | inputs.ArriveCall | inputs.TakeOver):
        return None
    call_id = getattr(given, "call_id", None)
    if call_id is None or call_id in pool.calls:
        return None
    changed = pool.changed_calls.get(call_id)
    if changed is not None:  # in this batch, so that the database does not know of it yet
        return changed.moving_to
    found = await states.place_of(session, call_id)
    return None if found is None or found == (pool.id, True) else found[0]


async def _know(session: Session, pool: Pool, queue_id: str) -> None:
    queue = pool.queue(queue_id)
    if queue is None or queue.elsewhere is not None:
        for queue in await states.queues_known_in(session, pool.id):
            pool.configure_queue(queue)


async def _learn(session: Session, pool: Pool, given: inputs.AnyInput) -> None:
    """Read rules that the input needs and that are declared, but whose own input has not come by yet."""
    match given:
        case inputs.OfferCall(queue_id=queue_id) | inputs.TakeOver(call=Call(queue_id=queue_id)):
            await _know(session, pool, queue_id)
        case inputs.ArriveCall():
            if any(pool.queue(queue_id) is None for queue_id in queue_ids_of(given.flow)):
                for queue in await states.queues_known_in(session, pool.id):
                    pool.configure_queue(queue)
        case inputs.Consult(asked=AskedQueue(queue_id=queue_id)):
            await _know(session, pool, queue_id)
        case inputs.LogIn(agent_id=agent_id) if agent_id not in pool.agents or pool.drained(agent_id) is not None:
            profile = await states.profile_of(session, pool.id, agent_id)
            if profile is not None:
                pool.configure_agent(profile)
                if profile.site_id is not None and pool.drained(agent_id) is not None:
                    pool.configure_site(await states.site(session, profile.site_id))
        case _:
            pass
