"""`plateau replay`."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from common.errors import PlateauError
from common.stops import command
from common.time_zones import is_time_zone, remedy
from rich.console import Console

from plateau.replay.policies import DEFAULT, POLICIES
from plateau.replay.run import Options
from plateau.replay.run import replay as play
from plateau.stack import STOP_SECONDS

WIDTH = 160
"""Columns of the report in a file or a pipe."""


def replay(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The call-by-call file (CSV).")],
    speed: Annotated[float, typer.Option(min=1, max=5000, help="Simulated seconds per real second.")] = 120,
    day: Annotated[
        datetime | None,
        typer.Option("--day", "--date", formats=["%Y-%m-%d"], help="Only this day; without it, the whole file."),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many rows.")] = None,
    time_zone: Annotated[str, typer.Option(help="Of the file's times.")] = "Asia/Jerusalem",
    seed: Annotated[str, typer.Option(help="The same seed draws the same patience.")] = "replay",
    directory: Annotated[Path, typer.Option("--state", help="Where the replay's own stack lives.")] = Path(".local"),
    policies: Annotated[
        list[str],
        typer.Option("--policy", help=f"{', '.join(POLICIES)}; several are played in turn and compared."),
    ] = [DEFAULT],  # noqa: B006 - Typer reads it, nobody changes it
    keep: Annotated[bool, typer.Option("--keep", help="Keep its data and logs.")] = False,
) -> None:
    """Play a real day again through the five services, and compare KPI with the event log and with the file.

    It starts a stack of its own, with the clock at the file's time, on an empty floor. The last line is one line of
    JSON. Exit status 1 when anything is not as promised.
    """
    if not is_time_zone(time_zone):
        raise typer.BadParameter(f"there is no time zone {time_zone!r}: {remedy(time_zone)}", param_hint="--time-zone")
    if unknown := [name for name in policies if name not in POLICIES]:
        known = ", ".join(POLICIES)
        raise typer.BadParameter(f"{unknown[0]!r} is none of {known}", param_hint="--policy")
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=WIDTH)
    options = Options(
        file, speed, None if day is None else day.date(), limit, time_zone, seed, directory, keep, tuple(policies)
    )
    try:
        results = command(lambda: play(options, console), grace_seconds=STOP_SECONDS)
    except PlateauError as failure:
        Console(stderr=True).print(str(failure), style="red", markup=False)
        raise typer.Exit(1) from None
    raise typer.Exit(0 if all(result.right for result in results) else 1)
