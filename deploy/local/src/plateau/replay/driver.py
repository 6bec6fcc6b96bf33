"""Callers, PBX and agents of a plan, as programs outside would be them: through the public HTTP APIs alone.

Everything has a simulated time at which it is due; the worst lateness of this program itself is measured. Callers call
at their arrival and hang up when their patience is over. Agents accept as soon as their desk rings, and end the call
after the service time of the file, counted from the moment at which the call was bridged. Facts that are due while
others are on their way are sent together.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import count
from typing import Any, Final, Literal

from common.clock import Clock
from common.ids import derived_id

from plateau.client import Client
from plateau.replay.plan import UNSETTLED, Caller, Plan, Shift
from plateau.simulator.facts import Facts
from plateau.simulator.streams import follow
from plateau.simulator.world import Tasks

RECONCILE_SECONDS: Final = 5.0
"""Real seconds between two looks at what routing holds: for commands that a broken stream swallowed."""
LIVE: Final = ("offered", "talking")
EXTERNAL: Final = "replay-"
"""Beginning of a call's external id; the rest is its row in the file."""


@dataclass(slots=True, eq=False)
class Call:
    """One call being played."""

    caller: Caller
    call_id: str
    phase: Literal["waiting", "talking", "over"] = "waiting"
    agent_id: str | None = None


@dataclass(slots=True)
class Progress:
    """How far the replay has come."""

    offered: int = 0
    answered: int = 0
    hung_up: int = 0
    ended: int = 0
    missed: int = 0
    """Offers that ran out before the agent's acceptance arrived."""
    worst_lag_seconds: float = 0.0
    """Simulated seconds by which this program was latest in doing what was due."""


class Driver:
    """Plays one plan. `run` returns when the last call is over and the last agent has left."""

    def __init__(self, client: Client, plan: Plan, clock: Clock, seed: str) -> None:
        self.progress = Progress()
        self._client = client
        self._plan = plan
        self._clock = clock
        self._seed = seed
        self._facts = Facts(client)
        self._calls: dict[str, Call] = {}
        self._crossed: dict[str, Call] = {}
        """Callers who hung up while an agent's acceptance was on its way: the agent finishes with them at once."""
        self._states: dict[str, str] = {}
        """What each agent last did by the clock."""
        self._due: list[tuple[datetime, int, Callable[[], None]]] = []
        self._order = count()
        self._woken = asyncio.Event()

    @property
    def refusals(self) -> list[str]:
        """Facts that routing's API did not take."""
        return self._facts.refusals

    async def run(self) -> None:
        """Play the whole plan. Raises what went wrong in any part of it."""
        tasks = Tasks()
        playing = asyncio.create_task(self._play(tasks))
        try:
            await asyncio.wait([playing, tasks.failed], return_when=asyncio.FIRST_COMPLETED)
            if tasks.failed.done():
                tasks.failed.result()
            await playing
        finally:
            playing.cancel()
            await asyncio.gather(playing, return_exceptions=True)
            await tasks.stop()

    async def _play(self, tasks: Tasks) -> None:
        connected = asyncio.Event()

        async def on_connected() -> None:
            await self._adopt()
            connected.set()

        tasks.spawn(self._facts.run(), name="facts")
        tasks.spawn(
            follow(self._client, "routing", "/v1/telephony/stream", on_event=self._on_event, on_connected=on_connected),
            name="telephony",
        )
        tasks.spawn(self._reconcile(), name="reconcile")
        await connected.wait()
        for caller in self._plan.callers:
            self._at(caller.arrival, partial(self._call, caller))
        for shift in self._plan.shifts:
            self._at(shift.at, partial(self._change, shift))
        while self._due or self._calls or not self._facts.all_sent:
            await self._next()

    async def _next(self) -> None:
        """Do what is due, or wait for something to happen."""
        self._woken.clear()
        if not self._due:
            with suppress(TimeoutError):
                async with asyncio.timeout(0.05):
                    await self._woken.wait()
            return
        due = self._due[0][0]
        ahead = (due - self._clock.now()).total_seconds()
        if ahead > 0:
            waiting = asyncio.ensure_future(self._clock.sleep(ahead))
            woken = asyncio.ensure_future(self._woken.wait())
            try:
                await asyncio.wait([waiting, woken], return_when=asyncio.FIRST_COMPLETED)
            finally:
                waiting.cancel()
                woken.cancel()
            return
        _, _, action = heapq.heappop(self._due)
        self.progress.worst_lag_seconds = max(self.progress.worst_lag_seconds, -ahead)
        action()
        if next(self._order) % 16 == 0:
            await asyncio.sleep(0)  # let answers and commands in

    def _at(self, due: datetime, action: Callable[[], None]) -> None:
        heapq.heappush(self._due, (due, next(self._order), action))
        self._woken.set()

    # callers

    def _call(self, caller: Caller) -> None:
        call = Call(caller, f"{derived_id(self._seed, str(caller.number))}.{caller.queue_id}")
        self._calls[call.call_id] = call
        self.progress.offered += 1
        self._facts.add(
            "offered",
            call_id=call.call_id,
            queue_id=caller.queue_id,
            contact_phone=caller.phone,
            external_id=f"{EXTERNAL}{caller.number}",
        )
        patience = timedelta(seconds=caller.patience_seconds)
        self._at(self._clock.now() + patience, partial(self._lose_patience, call))

    def _lose_patience(self, call: Call) -> None:
        if call.phase == "waiting":
            self.progress.hung_up += 1
            self._facts.add("hung_up", call_id=call.call_id)
            self._leave(call)
            if call.agent_id is not None:
                self._crossed[call.call_id] = call

    def _leave(self, call: Call) -> None:
        call.phase = "over"
        del self._calls[call.call_id]
        self._woken.set()

    # agents

    def _change(self, shift: Shift) -> None:
        self._states[shift.agent_id] = shift.state
        reason = {"reason": "pause"} if shift.state == "break" else {}
        self._facts.add("agent_state", agent_id=shift.agent_id, state=shift.state, **reason)

    def _end(self, call: Call) -> None:
        """The conversation has lasted as long as in the file; the agent finishes with it."""
        self.progress.ended += 1
        self._facts.add("hung_up", call_id=call.call_id)
        self._facts.add("wrapped_up", call_id=call.call_id, agent_id=call.agent_id, disposition=call.caller.disposition)
        self._leave(call)

    # routing's commands

    def _on_event(self, kind: str, data: dict[str, Any]) -> None:
        call_id = data.get("call_id", "")
        if kind == "bridge" and (crossed := self._crossed.pop(call_id, None)) is not None:
            self._facts.add("wrapped_up", call_id=call_id, agent_id=crossed.agent_id, disposition=UNSETTLED)
        call = self._calls.get(call_id)
        if call is None:
            return
        match kind:
            case "ring" if call.phase == "waiting":
                call.agent_id = data["agent_id"]
                self._facts.add("accepted", call_id=call.call_id, agent_id=call.agent_id)
            case "bridge" if call.phase == "waiting":
                call.phase, call.agent_id = "talking", data["agent_id"]
                self.progress.answered += 1
                service = timedelta(seconds=call.caller.service_seconds)
                self._at(self._clock.now() + service, partial(self._end, call))
            case "stop_ringing" if data.get("reason") == "timeout":
                # Routing puts an agent who let an offer pass on a break; ours never means to.
                self.progress.missed += 1
                if self._states.get(data["agent_id"]) in ("logged_in", "available"):
                    self._facts.add("agent_state", agent_id=data["agent_id"], state="available")
            case "release" if call.phase == "waiting":
                self._leave(call)
            case _:
                return

    async def _reconcile(self) -> None:
        while True:
            await asyncio.sleep(RECONCILE_SECONDS)
            await self._adopt()

    async def _adopt(self) -> None:
        """Take in what routing holds and the stream did not say."""
        for state in LIVE:
            async for view in self._client.pages("routing", "/v1/calls", state=state):
                self._on_event("ring" if state == "offered" else "bridge", view)
