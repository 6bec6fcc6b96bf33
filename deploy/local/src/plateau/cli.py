"""`plateau`: the floor file, the local stack, tokens and dead letters from the command line.

A command is a function in a module of its own or here, registered on `app`.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Coroutine
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from aiokafka.errors import KafkaError
from common.auth import Role
from common.errors import PlateauError
from common.stops import command
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from plateau import floor as floors
from plateau import run as running
from plateau.checker import check as check_log
from plateau.client import SERVICES, Client, urls_from_environment
from plateau.floor.apply import Change, NotApplied, Plan
from plateau.floor.apply import apply as apply_plan
from plateau.floor.apply import plan as plan_of
from plateau.floor.entry_points import picture
from plateau.floor.export import export as export_floor
from plateau.remedies import remedy
from plateau.replay.command import replay
from plateau.stack import DEFAULT_SPEED, DIRECTORY, KAFKA_PORT
from plateau.state import State

T = TypeVar("T")

app = typer.Typer(
    no_args_is_help=True, pretty_exceptions_enable=False, help="Plateau, the back end of a contact centre."
)
dead_letters = typer.Typer(no_args_is_help=True, help="Events that could not be handled.")
app.add_typer(dead_letters, name="dlq")
app.command()(replay)

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

FloorFile = Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The floor file (YAML).")]
Directory = Annotated[Path, typer.Option("--state", help="Directory of the local stack.")]
Token = Annotated[
    str | None,
    typer.Option(envvar="PLATEAU_TOKEN", help="Bearer token or API key; without one, the local stack's own issuer."),
]


class Service(StrEnum):
    """The five services by their folder names."""

    ROUTING = "routing"
    DIALER = "dialer"
    CRM_BRIDGE = "crm-bridge"
    BILLING = "billing"
    KPI = "kpi"


ServiceOption = Annotated[Service | None, typer.Option("--service", help="Only this service.")]


class Failure(typer.Exit):
    """The command failed; it has said why."""

    def __init__(self, message: str) -> None:
        super().__init__(1)
        err.print(message, style="red", markup=False)


def client(directory: Path, token: str | None) -> Client:
    """The services' APIs. Their addresses: `ROUTING_URL` … when set, else those of the local stack."""
    local = directory / "issuer" / "issuer.pem"
    if token is not None:
        return Client(urls_from_environment(State(directory).urls() if local.exists() else None), token)
    if not local.exists():
        raise Failure(f"there is no local stack in {directory}: give a token (--token or PLATEAU_TOKEN)")
    state = State(directory)
    minted = state.issuer.mint("operator,service,supervisor", subject="plateau")
    return Client(urls_from_environment(state.urls()), minted)


def called(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine; expected errors end the command with their message."""
    try:
        return command(work)
    except NotApplied as refused:
        done = ", ".join(change.title for change in refused.applied) or "nothing"
        raise Failure(f"{refused}\nApplied before that, and standing: {done}") from None
    except PlateauError as failure:
        raise Failure(str(failure)) from None


def loaded(path: Path) -> floors.Floor:
    """The floor of a file; wrong values are told with their lines."""
    try:
        floor = floors.load(path)
    except floors.FloorInvalid as invalid:
        count = len(invalid.wrong)
        raise Failure(f"{invalid}\n{count} wrong value{'s' * (count != 1)}; nothing was done") from None
    except (OSError, UnicodeDecodeError) as failure:
        raise Failure(f"{path}: {failure}") from None
    for warning in floor.warnings:
        err.print(f"warning: {warning}", style="yellow", markup=False)
    return floor


@app.command()
def validate(path: FloorFile) -> None:
    """Check a floor file as a whole, without any service."""
    floor = loaded(path)
    out.print(
        f"{path.name}: right. {len(floor.tenants)} tenants, {len(floor.queues)} queues, {len(floor.agents)} agents, "
        f"{len(floor.campaigns)} campaigns"
    )


@app.command()
def apply(
    path: FloorFile,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")] = False,
    directory: Directory = DIRECTORY,
    token: Token = None,
) -> None:
    """Make the running floor what the file says; unchanged objects are not written."""
    floor = loaded(path)

    async def work() -> None:
        async with client(directory, token) as services:
            made = await plan_of(services, floor)
            _print_plan(made)
            if dry_run:
                return
            done: list[str] = []

            def note(change: Change, answer: Any) -> None:
                done.append(change.title)
                _print_applied(change, answer)

            try:
                await apply_plan(services, made, note)
            except asyncio.CancelledError:
                err.print(f"Applied before the signal, and standing: {', '.join(done) or 'nothing'}", markup=False)
                raise
            out.print(f"applied {len(done)} changes")

    called(work)


def _print_applied(change: Change, answer: Any) -> None:
    """A new webhook's secret is shown this once."""
    if change.kind == "webhook" and isinstance(answer, dict) and answer.get("secret"):
        out.print(f"webhook {change.id}: signing secret, not shown again: {answer['secret']}", markup=False)


def _print_plan(made: Plan) -> None:
    for change in made.pending:
        _print_change(change)
    for thing in made.elsewhere:
        out.print(f"[dim]  not in the file, left as it is: {escape(thing)}[/dim]")
    created, changed, unchanged = (made.count(action) for action in ("created", "changed", "unchanged"))
    out.print(f"{created} to create, {changed} to change, {unchanged} unchanged")


def _print_change(change: Change) -> None:
    sign, style = ("+", "green") if change.action == "created" else ("~", "yellow")
    out.print(f"[{style}]{sign} {escape(change.title)}[/{style}]")
    for name, old, new in change.fields:
        before = "" if change.action == "created" else f"{_shown(old)} -> "
        out.print(f"    {name}: {escape(before + _shown(new))}")


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


@app.command()
def export(directory: Directory = DIRECTORY, token: Token = None) -> None:
    """Write a floor file from the running floor to standard output."""

    async def work() -> str:
        async with client(directory, token) as services:
            return await export_floor(services)

    typer.echo(called(work), nl=False)


def _sample() -> Path:
    return Path("deploy") / "local" / "floors" / running.SAMPLE


@app.command()
def draw(
    path: FloorFile,
    to: Annotated[Path, typer.Option("--to", file_okay=False, help="Directory, made when it is not there.")] = Path(
        "flows"
    ),
) -> None:
    """Draw the flow of each entry point of a floor file as an SVG picture."""
    floor = loaded(path)
    try:
        to.mkdir(parents=True, exist_ok=True)
        for one in floor.entry_points:
            drawn = to / f"{one.id}.svg"
            drawn.write_text(picture(one), encoding="utf-8")
            out.print(str(drawn), markup=False)
    except OSError as failure:
        raise Failure(f"{to}: {failure}") from None
    out.print(f"{path.name}: {len(floor.entry_points)} flow(s) drawn")


@app.command("run")
def run_stack(
    floor: Annotated[Path, typer.Option(exists=True, dir_okay=False, default_factory=_sample, help="The floor file.")],
    traffic: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="Traffic (YAML); without it <floor>.traffic.yaml, or a guess."),
    ] = None,
    no_traffic: Annotated[
        bool, typer.Option("--no-traffic", help="The services and the floor alone, without the simulator.")
    ] = False,
    seconds: Annotated[
        float | None, typer.Option(min=1, help="Real seconds that it runs; without it, until Ctrl-C.")
    ] = None,
    speed: Annotated[
        float | None,
        typer.Option(
            min=0.1,
            max=1000,
            help=f"Simulated seconds per real second; {DEFAULT_SPEED:g} if not given, 1 with --no-traffic.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed draws the same callers.")] = 1,
    directory: Directory = DIRECTORY,
) -> None:
    """Start everything on this machine, apply the floor, play traffic, show it live; end with a summary."""
    if no_traffic and traffic is not None:
        raise Failure("--no-traffic plays no traffic file: leave out --traffic, or play it without --no-traffic")
    loaded(floor)
    speed = speed or (1.0 if no_traffic else DEFAULT_SPEED)
    options = running.Options(floor, traffic, not no_traffic, seconds, speed, directory, seed)
    try:
        status = running.main(options)
    except ValidationError as invalid:
        raise Failure(f"{traffic or floor.with_suffix('.traffic.yaml')}: {invalid}") from None
    raise typer.Exit(status)


@app.command("check")
def check(
    bootstrap_servers: Annotated[
        str, typer.Option("--bootstrap", envvar="KAFKA_BOOTSTRAP_SERVERS", help="The brokers that hold the event log.")
    ] = f"127.0.0.1:{KAFKA_PORT}",
    complete: Annotated[
        bool, typer.Option("--complete", help="The floor has come to rest: nothing may be under way any more.")
    ] = False,
) -> None:
    """Prove from the event log alone that nothing was lost or counted twice. Exit status 1 when something was."""
    try:
        report = called(lambda: check_log(bootstrap_servers, complete=complete))
    except KafkaError as failure:
        raise Failure(f"{bootstrap_servers} does not answer: {type(failure).__name__}") from None
    for violation in report.violations:
        out.print(violation, markup=False)
    out.print(json.dumps({**report.counts, "violations": len(report.violations)}, default=str), markup=False)
    raise typer.Exit(1 if report.violations else 0)


@app.command("token")
def mint_token(
    role: Annotated[list[Role] | None, typer.Option("--role", help="May be given several times.")] = None,
    tenant: Annotated[str | None, typer.Option(help="Only this tenant's data.")] = None,
    subject: Annotated[str, typer.Option(help="Who it is; for an agent, the agent's id.")] = "olive",
    hours: Annotated[float, typer.Option(min=0.01)] = 24,
    directory: Directory = DIRECTORY,
) -> None:
    """Mint a token of the local stack's issuer."""
    roles = role or [Role.OPERATOR]
    if Role.TENANT in roles and tenant is None:
        raise Failure("a token with the role tenant needs --tenant")
    issuer = State(directory).issuer
    typer.echo(issuer.mint(",".join(roles), tenant=tenant, subject=subject, seconds=hours * 3600))


@dead_letters.command("list")
def list_dead_letters(
    service: ServiceOption = None,
    everything: Annotated[bool, typer.Option("--all", help="Those too that were redriven.")] = False,
    directory: Directory = DIRECTORY,
    token: Token = None,
) -> None:
    """Events that could not be handled, by service, newest first."""
    table = Table("service", "id", "topic", "type", "died at", "redriven at", "cause")

    async def work() -> None:
        async with client(directory, token) as services:
            for name in _services(service):
                waiting = str(not everything).lower()
                async for letter in services.pages(name, "/v1/dead-letters", waiting=waiting):
                    columns = ("id", "topic", "type", "died_at", "redriven_at", "cause")
                    table.add_row(name, *(escape(str(letter[column] or "")) for column in columns))

    called(work)
    out.print(table if table.row_count else "no dead letters")


@dead_letters.command("show")
def show_dead_letter(
    service: Service, letter: Annotated[str, typer.Argument(help="Its id.")],
    directory: Directory = DIRECTORY, token: Token = None,
) -> None:  # fmt: skip
    """One dead letter, whole, as JSON."""

    async def work() -> Any:
        async with client(directory, token) as services:
            return await services.get(service, f"/v1/dead-letters/{letter}")

    typer.echo(json.dumps(called(work), indent=2, ensure_ascii=False))


@dead_letters.command("redrive")
def redrive_dead_letters(
    service: Service,
    letter: Annotated[str | None, typer.Argument(help="Its id; without one, all that wait.")] = None,
    directory: Directory = DIRECTORY,
    token: Token = None,
) -> None:
    """Send dead letters back to be handled again. Their effect stays exactly-once."""

    async def work() -> int:
        async with client(directory, token) as services:
            ids = [letter] if letter else [one["id"] async for one in services.pages(service, "/v1/dead-letters")]
            for number, identifier in enumerate(ids):
                try:
                    await services.post(service, f"/v1/dead-letters/{identifier}/redrive")
                except asyncio.CancelledError:
                    err.print(f"redriven before the signal: {number} of {len(ids)}")
                    raise
            return len(ids)

    count = called(work)
    out.print(f"redriven: {count}")


def _services(chosen: Service | None) -> list[str]:
    return list(SERVICES) if chosen is None else [str(chosen)]


def main() -> None:
    """The command; a fault of the machine ends it with its remedy."""
    try:
        app()
    except OSError as failure:
        if (what := remedy(failure)) is None:
            raise
        err.print(f"error: {failure}\nremedy: {what}", style="red", markup=False)
        sys.exit(1)


if __name__ == "__main__":
    main()
