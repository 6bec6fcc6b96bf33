"""Telephony facts on their way to routing: in order, many at once when there are many."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from common.ids import new_id

from plateau.client import Client, Refused

MOST_FACTS: Final = 1000
"""Facts that one request may carry."""
_REMEMBERED: Final = 100


class Facts:
    """Sends facts in the order in which they are added. While one request is on its way, the next ones gather.

    A request without an answer is sent again, for ever, with the same key; each fact has an id of its own, so that
    none counts twice. Refused facts are counted, and the newest reasons kept in `refusals`.
    """

    def __init__(self, client: Client) -> None:
        self.sent = 0
        self.refused = 0
        self.refusals: list[str] = []
        self._client = client
        self._waiting: list[dict[str, Any]] = []
        self._woken = asyncio.Event()
        self._sending = False

    def add(self, kind: str, **fields: Any) -> None:
        self._waiting.append({"type": kind, "id": str(new_id()), **fields})
        self._woken.set()

    @property
    def all_sent(self) -> bool:
        return not self._waiting and not self._sending

    async def run(self) -> None:
        """Send, until cancelled."""
        while True:
            await self._woken.wait()
            self._woken.clear()
            while self._waiting:
                batch, self._waiting = self._waiting[:MOST_FACTS], self._waiting[MOST_FACTS:]
                self._sending = True
                try:
                    await self._send(batch)
                finally:
                    self._sending = False

    async def _send(self, batch: list[dict[str, Any]]) -> None:
        try:
            answer = await self._client.post("routing", "/v1/telephony/facts", {"facts": batch})
        except Refused as refused:
            if len(batch) > 1:  # an older routing refuses all for one
                for fact in batch:
                    await self._send([fact])
                return
            self._note([f"{batch[0]['type']}: {refused}"])
            return
        self.sent += len(answer.get("accepted", batch))
        first = {one["fact"]: one for one in reversed(answer.get("refused", []))}
        self._note([f"{batch[number]['type']}: {one['field']}: {one['reason']}" for number, one in first.items()])

    def _note(self, refusals: list[str]) -> None:
        self.refused += len(refusals)
        self.refusals = [*self.refusals, *refusals][-_REMEMBERED:]
