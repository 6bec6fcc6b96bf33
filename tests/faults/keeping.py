"""Service processes that come back when they die, and consumer groups that give up their dead."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.group import LeaveGroupRequest
from common.kafka import Kafka
from plateau.client import SERVICES
from plateau.servers import ServerFailed
from plateau.stack import ServiceProcess

GROUPS = {service: (service,) for service in SERVICES} | {"routing": ("routing", "routing-contacts")}
"""The consumer groups of each service."""


async def members(bootstrap_servers: str, group: str) -> set[str]:
    """Ids of a consumer group's members, dead ones too that the broker has not given up yet."""
    async with Kafka(bootstrap_servers).admin() as admin:
        return (await _described(admin, group))[1]


async def remove_members(bootstrap_servers: str, group: str, wanted: set[str]) -> None:
    """Say for members that cannot say it that they leave: what a broker does once a session has timed out."""
    async with Kafka(bootstrap_servers).admin() as admin:
        await _remove(admin, group, wanted)


async def _described(admin: AIOKafkaAdminClient, group: str) -> tuple[str, set[str]]:
    """State and members of a group."""
    answers = await admin.describe_consumer_groups([group])
    found = answers[0].groups[0]
    return found[2], {member[0] for member in found[5]}


async def _remove(admin: AIOKafkaAdminClient, group: str, wanted: set[str]) -> None:
    coordinator = await admin.find_coordinator(group)
    for member in wanted:
        await admin._send_request(LeaveGroupRequest(group, member), coordinator)


class Expirer:
    """Gives up members that are silent, in the place of noida-db, which never does.

    A group whose rebalance waits for somebody for `STUCK_SECONDS` loses all its members; who is alive joins again.
    """

    STUCK_SECONDS = 3.0

    def __init__(self, bootstrap_servers: str) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._task = asyncio.create_task(self._run(), name="expirer")

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        since: dict[str, float] = {}
        async with Kafka(self._bootstrap_servers).admin() as admin:
            while True:
                await asyncio.sleep(0.5)
                for group in (group for groups in GROUPS.values() for group in groups):
                    state, found = await _described(admin, group)
                    if state not in ("PreparingRebalance", "CompletingRebalance"):
                        since.pop(group, None)
                    elif loop.time() - since.setdefault(group, loop.time()) > self.STUCK_SECONDS:
                        await _remove(admin, group, found)
                        del since[group]

    async def leave(self) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task


class Keeper:
    """Starts a service process anew whenever it ends, as Kubernetes would. `died` has the ends that nobody asked for.

    With `expire` the members that its dead process leaves behind are removed from the consumer group (see Expirer).
    """

    def __init__(self, process: ServiceProcess, bootstrap_servers: str, *, expire: bool) -> None:
        self.process = process
        self.groups = GROUPS[process.service]
        self.died: list[str] = []
        self.not_started: list[str] = []
        """Ends before it was ready: without its database or broker a service does not start, and is started again."""
        self._bootstrap_servers = bootstrap_servers
        self._expire = expire
        self._killed: set[int] = set()
        self._leaving = False
        self._task = asyncio.create_task(self._keep(), name=f"keeper of {process.service}")

    async def _keep(self) -> None:
        while not self._leaving:
            expiring = asyncio.create_task(self._expire_dead())
            was_ready = False
            with suppress(ServerFailed):
                await self.process.start()
                was_ready = True
            await expiring
            status = await self.process.wait()
            if self._leaving:
                return
            if self.process.pid not in self._killed:
                end = f"{self.process.service} ended with status {status}: {self.process.log_tail()}"
                (self.died if was_ready else self.not_started).append(end)
                await asyncio.sleep(0.2)

    async def _expire_dead(self) -> None:
        """Long before the new process joins. More than once: the last words of the dead one may still be on their way.

        A second replica that is alive is removed too, and joins again at once.
        """
        if self._expire and self._killed:
            for pause in (0.0, 0.3, 0.4):
                await asyncio.sleep(pause)
                for group in self.groups:
                    dead = await members(self._bootstrap_servers, group)
                    await remove_members(self._bootstrap_servers, group, dead)

    @property
    def kills(self) -> int:
        return len(self._killed)

    def kill(self) -> None:
        """SIGKILL, if there is something to kill: it may just have ended by itself, for want of its database."""
        if self.process.running and self.process.pid not in self._killed:
            with suppress(ProcessLookupError):
                self.signal(signal.SIGKILL)
                self._killed.add(self.process.pid)

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.process.pid, number)

    async def ready(self, timeout: float = 90) -> None:
        """Returns once the service answers."""
        try:
            async with asyncio.timeout(timeout):
                while not (self.process.running and await self.process._answers()):
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(await self.standing()) from None

    async def standing(self) -> str:
        """What the process, its consumer groups and its log say: for the message of a test that waits in vain."""
        async with Kafka(self._bootstrap_servers).admin() as admin:
            groups = await admin.describe_consumer_groups(list(self.groups))
        answers = self.process.running and await self.process._answers()
        kept = f"killed {self.kills} times, failed {len(self.not_started)} starts, died {self.died}"
        return f"{self.process.service} (answers: {answers}; {kept}): {groups}\n{self.process.log_tail()}"

    def log(self) -> str:
        """What it has written since its first start."""
        return self.process.log.read_text(errors="replace")

    async def leave(self) -> None:
        """Stop it in good order and for good."""
        self._leaving = True
        await self.process.stop()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
