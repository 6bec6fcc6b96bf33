"""The floors: the least that this machine needs for work of the same kind. Each benched time stands beside one.

Machines differ by four times, and one machine by as much from one hour to the next. So each figure is also printed
divided by the figure of a floor that was measured in the same run, beside it or in turns with it, as
`<figure>_vs_<floor>`: of times (milliseconds, seconds) small is good, of rates (a second) large is good. No floor runs
code of Plateau.

    loop         a fixed pure-Python loop: for what is Python alone
    hop          Kafka, a durable commit, Kafka: for what goes through a service
    insert       a durable commit of rows as they come: for handlers and timers that write
    round_trip   a transaction that does nothing: for what reads
    copy         COPY of a file: for imports
    raw          consume and produce: for the backbone (in bench_backbone.py)
"""

from __future__ import annotations

import asyncio
import heapq
import os
import sys
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterable, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import uuid4

import asyncpg
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]


def ratio(figure: float, floor: float) -> float:
    """To three digits."""
    return float(f"{figure / floor:.3g}")


def milliseconds(seconds: float) -> float:
    """To a hundredth."""
    return round(seconds * 1000, 2)


def median(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2]


def quantile(values: Sequence[float], part: float) -> float:
    """Of a sorted list."""
    return values[min(len(values) - 1, int(part * len(values)))]


# loop


@dataclass
class _Ticket:
    number: int
    skills: tuple[str, ...]
    since: float
    owner: str | None = None
    notes: dict[str, float] = field(default_factory=dict)


_TURNS = 10_000


@dataclass
class Loop:
    """A fixed loop of what a decision is made of: objects, attributes, dictionaries, a heap, sets, short strings.

    A turn makes one ticket, puts it into a heap and two dictionaries, takes one out and writes on it. The same turns
    each time, with numbers of its own generator; no I/O. Comparable with the pool's engine, with estimates and with
    the counting of figures, which are pure Python on the same kinds of objects and, as this, on one processor.
    """

    samples: list[float] = field(default_factory=list)
    """Seconds of each."""

    processor_seconds: float = 0.0

    def sample(self) -> None:
        """Some hundredths of a second."""
        began, worked = time.perf_counter(), time.process_time()
        _turn_the_loop()
        self.samples.append(time.perf_counter() - began)
        self.processor_seconds += time.process_time() - worked

    @property
    def per_second(self) -> float:
        """Turns a second, over all samples."""
        return _TURNS * len(self.samples) / sum(self.samples)

    @property
    def seconds(self) -> float:
        """Of a sample: the median."""
        return median(self.samples)

    @property
    def processor_per_turn(self) -> float:
        """Processor seconds."""
        return self.processor_seconds / (_TURNS * len(self.samples))

    def figures(self) -> dict[str, float]:
        print(f"floor: {self.per_second:,.0f} turns/s of the loop")
        return {"floor_loop_per_second": round(self.per_second)}


def _turn_the_loop() -> None:
    chance = 1
    heap: list[tuple[float, int]] = []
    tickets: dict[int, _Ticket] = {}
    by_skill: dict[str, set[int]] = {f"skill-{number}": set() for number in range(40)}
    names = list(by_skill)
    for number in range(_TURNS):
        chance = (chance * 1_103_515_245 + 12_345) & 0x7FFFFFFF
        ticket = _Ticket(number, (names[chance % 40], names[(chance >> 8) % 40]), float(chance % 1000))
        tickets[number] = ticket
        heapq.heappush(heap, (ticket.since + number, number))
        for skill in ticket.skills:
            by_skill[skill].add(number)
        if len(heap) > 500:
            _, taken = heapq.heappop(heap)
            done = tickets.pop(taken)
            done.owner = f"agent-{taken % 100}"
            done.notes["waited"] = number - done.since
            done.notes |= {skill: len(by_skill[skill]) for skill in done.skills}
            for skill in done.skills:
                by_skill[skill].discard(taken)


# hop

_PARTITIONS = 12


class Hop:
    """Processes that read a topic, write what they read to PostgreSQL, commit (default durability), and only then
    write to another topic: plain aiokafka and asyncpg, one poll, one statement, one commit.

    That is the least that a service must do which takes inputs from Kafka and publishes nothing that is not safe: what
    comes on top is ours (HTTP, deciding, inbox, outbox, relay). Same broker, same PostgreSQL, same rate, a process of
    its own on the same machine; producers are idempotent with `acks=all`, as ours.
    """

    def __init__(self, servers: str, url: str, idle_pause_ms: int, names: Sequence[str]) -> None:
        run = uuid4().hex
        self.topics = self._in, self._out = f"hop-in-{run}", f"hop-out-{run}"
        self._arguments = (servers, url, str(idle_pause_ms), *self.topics)
        self._servers = servers
        self._idle_pause_ms = idle_pause_ms
        self._names = names
        self._processes: list[Process] = []
        self._sent = 0
        self._arrived: dict[bytes, float] = {}
        self._since = 0
        self._first: dict[int, float] = {}
        """When each partition brought something for the first time that was sent after number `_since`."""
        self._came = asyncio.Event()

    async def latencies(self, rate: float, seconds: float) -> list[float]:
        """Seconds from the moment at which a record is due to be sent to the one at which it is read, sorted. All have
        one key on the way in, as the inputs of one pool have, and each its own on the way out, as a call's events."""
        due: dict[bytes, float] = {}
        async with self._producer() as producer:
            began, made = time.perf_counter(), 0
            while (now := time.perf_counter()) - began < seconds:
                while made < (now - began) * rate:
                    number = self._next()
                    due[number] = began + made / rate
                    await producer.send(self._in, number, key=b"main")
                    made += 1
                await asyncio.sleep(0.001)
            await producer.flush()
            await self._until(lambda: due.keys() <= self._arrived.keys())
        return sorted(self._arrived[number] - at for number, at in due.items())

    async def per_second(self, number: int) -> float:
        """Records a second, when as many as given are sent as fast as they are taken, over all partitions."""
        async with self._producer() as producer:
            began = time.perf_counter()
            numbers = {self._next() for _ in range(number)}
            for name in numbers:
                await producer.send(self._in, name, key=name)
            await producer.flush()
            await self._until(lambda: numbers <= self._arrived.keys())
        return number / (time.perf_counter() - began)

    async def rejoin(self) -> float:
        """Kill the last process and start it again at once, with 200 records a second under way: seconds until all
        partitions have brought something since."""

        async def send() -> None:
            async with self._producer() as producer:
                while True:
                    number = self._next()
                    await producer.send(self._in, number, partition=self._sent % _PARTITIONS)
                    await asyncio.sleep(0.005)

        sending = asyncio.ensure_future(send())
        try:
            await self._until_all_since(self._sent)
            killed = time.perf_counter()
            await self._kill(self._processes.pop())
            since = self._sent
            await self._start(self._names[-1])
            await self._until_all_since(since)
            return max(self._first.values()) - killed
        finally:
            sending.cancel()
            await asyncio.wait((sending,))

    def _next(self) -> bytes:
        self._sent += 1
        return b"%d" % self._sent

    async def _until_all_since(self, number: int) -> None:
        self._since, self._first = number, {}
        await self._until(lambda: len(self._first) == _PARTITIONS)

    async def _until(self, check: Callable[[], bool]) -> None:
        async with asyncio.timeout(90):
            while not check():
                self._came.clear()
                await self._came.wait()

    async def _start(self, name: str) -> None:
        self._processes.append(
            await asyncio.create_subprocess_exec(
                sys.executable, __file__, *self._arguments, name, stdin=asyncio.subprocess.PIPE
            )
        )

    async def _stop(self) -> None:
        for process in self._processes:
            await self._kill(process)

    async def _kill(self, process: Process) -> None:
        if process.returncode is None:
            process.kill()
        await process.wait()

    @asynccontextmanager
    async def _producer(self) -> AsyncIterator[AIOKafkaProducer]:
        producer = _producer(self._servers)
        await producer.start()
        try:
            yield producer
        finally:
            await producer.stop()

    async def _listen(self) -> None:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._servers,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=100,
        )
        await consumer.start()
        try:
            consumer.assign([TopicPartition(self._out, number) for number in range(_PARTITIONS)])
            while True:
                for records in (await _poll(consumer, self._idle_pause_ms)).values():
                    now = time.perf_counter()
                    for record in records:
                        self._arrived[record.value] = now
                        if int(record.value) > self._since:
                            self._first.setdefault(record.partition, now)
                self._came.set()
        finally:
            await consumer.stop()


@asynccontextmanager
async def hop(servers: str, url: str, idle_pause_ms: int, names: Sequence[str] = ("",)) -> AsyncIterator[Hop]:
    """One process for each name, sharing the partitions; warmed up. A name is the member's lasting one (Kafka's static
    membership, session timeout 10 s), an empty one none. `idle_pause_ms`: as for our consumers, for a broker that
    answers an empty fetch at once."""
    made = Hop(servers, url, idle_pause_ms, names)
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, _PARTITIONS, 1) for name in made.topics])
    finally:
        await admin.close()
    connection = await asyncpg.connect(url)
    await connection.execute("CREATE TABLE IF NOT EXISTS hops (id bigserial PRIMARY KEY, value bytea NOT NULL)")
    await connection.close()
    listening = asyncio.ensure_future(made._listen())
    try:
        for name in names:
            await made._start(name)
        await made.latencies(100, 1)
        yield made
    finally:
        await made._stop()
        listening.cancel()
        await asyncio.wait((listening,))


def _producer(servers: str) -> AIOKafkaProducer:
    return AIOKafkaProducer(bootstrap_servers=servers, acks="all", enable_idempotence=True, max_batch_size=256 * 1024)


async def _poll(
    consumer: AIOKafkaConsumer, idle_pause_ms: int
) -> dict[TopicPartition, list[ConsumerRecord[bytes, bytes]]]:
    found: dict[TopicPartition, list[ConsumerRecord[bytes, bytes]]] = await consumer.getmany(
        timeout_ms=2 if idle_pause_ms else 1000, max_records=1000
    )
    if not found and idle_pause_ms:
        held = consumer.assignment()
        consumer.pause(*held)
        await asyncio.sleep(idle_pause_ms / 1000)
        consumer.resume(*(held & consumer.assignment()))
    return found


async def _hop(servers: str, url: str, idle_pause_ms: int, topic: str, to: str, name: str) -> None:
    """One process of the hop. It ends when the one that started it is gone, with whom its input closes."""
    asyncio.get_running_loop().add_reader(sys.stdin, os._exit, 0)
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=servers,
        group_id=topic,
        group_instance_id=name or None,
        auto_commit_interval_ms=200,
        auto_offset_reset="earliest",
        session_timeout_ms=10_000,
        heartbeat_interval_ms=2_000,
    )
    producer = _producer(servers)
    connection = await asyncpg.connect(url)
    await producer.start()
    await consumer.start()
    while True:
        polled = await _poll(consumer, idle_pause_ms)
        values = [record.value for records in polled.values() for record in records]
        if values:
            await connection.execute("INSERT INTO hops (value) SELECT * FROM unnest($1::bytea[])", values)
            await asyncio.gather(*[await producer.send(to, value, key=value) for value in values])


# insert, round_trip, copy


class Insert:
    """Rows of an id and about as many bytes as an event has, put into a table with a primary key by one statement and
    committed with PostgreSQL's default durability.

    That is the least that a handler or a timer must do whose effect is to last: one commit, and each of its rows
    written. Comparable where as many rows are inserted as the measured piece has inputs or outputs, on the same server
    and in turns with it.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.rows = 0
        self.samples: list[float] = []
        """Seconds of each."""

    async def prepare(self) -> None:
        await self._connection.execute(
            "CREATE TABLE floor_inserts (id uuid PRIMARY KEY, occurred_at timestamptz NOT NULL, value bytea NOT NULL)"
        )

    async def sample(self, rows: int) -> None:
        ids, value = [uuid4() for _ in range(rows)], b"x" * 400
        began = time.perf_counter()
        await self._connection.execute(
            "INSERT INTO floor_inserts SELECT id, now(), $2 FROM unnest($1::uuid[]) AS id", ids, value
        )
        self.samples.append(time.perf_counter() - began)
        self.rows += rows

    def figures(self) -> dict[str, float]:
        each = round(self.rows / len(self.samples))
        print(f"floor: {self.seconds * 1000:.2f} ms to insert {each} rows and commit, {self.per_second:,.0f} rows/s")
        return {f"floor_insert_{each}_rows_ms": milliseconds(self.seconds)}

    @property
    def per_second(self) -> float:
        """Rows a second."""
        return self.rows / sum(self.samples)

    @property
    def seconds(self) -> float:
        """The median of the samples."""
        return median(self.samples)


class RoundTrip:
    """A transaction of one statement that reads nothing. Comparable with what a request pays that only looks."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.samples: list[float] = []

    async def sample(self) -> None:
        began = time.perf_counter()
        async with self._connection.transaction():
            await self._connection.fetchval("SELECT 1")
        self.samples.append(time.perf_counter() - began)

    def figures(self) -> dict[str, float]:
        print(f"floor: {self.seconds * 1000:.2f} ms a round trip to PostgreSQL")
        return {"floor_round_trip_ms": milliseconds(self.seconds)}

    @property
    def seconds(self) -> float:
        """The median of the samples."""
        return median(self.samples)


class Copy:
    """The same file of leads straight into a table without any index, by COPY … (FORMAT csv), and committed.

    PostgreSQL splits the lines and writes the rows, which an import must do too; it checks nothing, looks for nothing
    that is there already and keeps no index.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.samples: list[float] = []

    async def sample(self, pieces: AsyncIterable[bytes]) -> None:
        await self._connection.execute("DROP TABLE IF EXISTS floor_copy")
        await self._connection.execute(
            "CREATE TABLE floor_copy (phone text NOT NULL, name text, time_zone text, external_id text)"
        )
        began = time.perf_counter()
        await self._connection.copy_to_table("floor_copy", source=pieces, format="csv", header=True)
        self.samples.append(time.perf_counter() - began)

    @property
    def seconds(self) -> float:
        """The median of the samples."""
        return median(self.samples)

    def figures(self, rows: int) -> dict[str, float]:
        print(f"floor: {rows / self.seconds:,.0f} rows/s by COPY")
        return {"floor_copy_rows_per_second": round(rows / self.seconds)}


if __name__ == "__main__":
    uvloop.run(_hop(sys.argv[1], sys.argv[2], int(sys.argv[3]), *sys.argv[4:7]))
