"""The PBX side of the dialer: it dials as told and reports what became of each dial."""

from __future__ import annotations

from typing import Any, Final

from plateau.client import Refused
from plateau.simulator.arrivals import lognormal
from plateau.simulator.traffic import Outbound
from plateau.simulator.world import World

_PAGE: Final = 500


class Dials:
    """Dials in progress, each placed once however often it is told."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._known: set[str] = set()
        self.in_progress = 0
        """Dials begun before the floor was closing."""

    def on_event(self, kind: str, data: dict[str, Any]) -> None:
        """A command of the dialer."""
        attempt_id: str = data["attempt_id"]
        if data.get("command", kind) != "dial" or attempt_id in self._known:
            return
        self._known.add(attempt_id)
        self._world.tasks.spawn(self._dial(data))

    async def adopt(self) -> None:
        """Dials that were asked for while nobody listened."""
        after = "0"
        while True:
            page = await self._world.client.get("dialer", "/v1/dials", after=after, limit=_PAGE)
            for dial in page["items"]:
                self.on_event("dial", dial)
            if not page["items"]:
                return
            after = page["next_cursor"]

    async def _dial(self, dial: dict[str, Any]) -> None:
        world = self._world
        attempt_id: str = dial["attempt_id"]
        traffic = world.traffic.campaigns.get(dial["campaign_id"]) or world.outbound(dial.get("queue_id", ""))
        random = world.random("dial", attempt_id)
        ring_seconds = float(dial.get("ring_seconds") or 25)
        counted = not world.closing
        self.in_progress += counted
        try:
            await self._tell(attempt_id, "ringing")
            outcome = _outcome(traffic, random.random())
            match outcome:
                case "answered" | "machine":
                    seconds = min(lognormal(traffic.answer_seconds, 0.5, random), ring_seconds - 1)
                case "no_answer":
                    seconds = ring_seconds
                case _:
                    seconds = 1.5
            await world.pause(seconds)
            if world.closing and outcome == "answered":
                outcome = "no_answer"  # nobody is dialled into a centre that is closing
            world.counters.dials[outcome] += 1
            await self._tell(attempt_id, outcome)
        finally:
            self.in_progress -= counted

    async def _tell(self, attempt_id: str, fact: str) -> None:
        try:
            await self._world.client.post(
                "dialer", f"/v1/attempts/{attempt_id}/facts", {"fact": fact}, key=f"{attempt_id}-{fact}"
            )
        except Refused as refused:
            if refused.status not in (404, 409):  # over already, by the dialer's own time limit
                raise


def _outcome(traffic: Outbound, draw: float) -> str:
    """The fact that a uniform draw stands for."""
    shares = {
        "answered": traffic.answered,
        "machine": traffic.machine,
        "busy": traffic.busy,
        "failed": traffic.failed,
    }
    for outcome, share in shares.items():
        if draw < share:
            return outcome
        draw -= share
    return "no_answer"
