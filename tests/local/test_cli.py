"""The command line without a running stack."""

from __future__ import annotations

from pathlib import Path

import jwt
import msgspec
import pytest
from plateau import run
from plateau.cli import app
from plateau.floor import load
from plateau.run import Options
from plateau.state import State
from routing.domain.flow_drawing import entry_point_svg
from routing.domain.flows import Flow
from typer.testing import CliRunner

FLOORS = Path(__file__).parents[2] / "deploy" / "local" / "floors"
runner = CliRunner()


@pytest.mark.parametrize("name", ["pilot-6.yaml", "centre-60.yaml", "sample.yaml"])
def test_the_samples_validate(name: str) -> None:
    result = runner.invoke(app, ["validate", str(FLOORS / name)])
    assert result.exit_code == 0, result.output
    assert f"{name}: right." in result.output


@pytest.mark.parametrize("command", [["validate"], ["apply"], ["draw"], ["run", "--floor"]])
def test_a_wrong_floor_is_told_before_anything_is_started_or_sent(tmp_path: Path, command: list[str]) -> None:
    floor = tmp_path / "floor.yaml"
    floor.write_text((FLOORS / "pilot-6.yaml").read_text().replace('"4.20"', '"-4.20"').replace("Europe/Paris", "Mars"))
    result = runner.invoke(app, [*command, str(floor)])
    assert result.exit_code == 1
    assert "floor.yaml:15:16: tenants.paper-boats.time_zone: must be the time zone of a place (" in result.output
    assert 'a price must not be negative, not "-4.20"' in result.output
    assert "2 wrong values; nothing was done" in result.output


def test_each_entry_point_of_a_floor_is_drawn_as_the_api_draws_it(tmp_path: Path) -> None:
    """Given the sample floor; when it is drawn; then there is one picture for each entry point, the API's own."""
    result = runner.invoke(app, ["draw", str(FLOORS / "sample.yaml"), "--to", str(tmp_path / "new" / "flows")])
    assert result.exit_code == 0, result.output
    assert [one.name for one in (tmp_path / "new" / "flows").iterdir()] == ["gale-line.svg"]
    (line,) = load(FLOORS / "sample.yaml").entry_points
    drawn = (tmp_path / "new" / "flows" / "gale-line.svg").read_text(encoding="utf-8")
    assert drawn == entry_point_svg("gale-line", ["+33639980100"], msgspec.convert(line.flow, Flow))
    assert "second-line (queue)" in drawn


def test_a_flow_with_a_dead_end_is_not_drawn_but_told_with_its_line(tmp_path: Path) -> None:
    floor = tmp_path / "floor.yaml"
    sample = (FLOORS / "sample.yaml").read_text()
    floor.write_text(sample.replace("steps: 2, next: topic}", "steps: 2}"))
    (line,) = [number for number, text in enumerate(floor.read_text().splitlines(), 1) if "regulars: {type" in text]
    result = runner.invoke(app, ["draw", str(floor), "--to", str(tmp_path / "flows")])
    assert result.exit_code == 1
    assert f"floor.yaml:{line}:" in result.output
    assert "steps.regulars.next: is a dead end" in result.output
    assert not (tmp_path / "flows").exists()


def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    result = runner.invoke(app, ["draw", str(FLOORS / "sample.yaml"), "--to", str(tmp_path / "taken" / "flows")])
    assert result.exit_code == 1
    assert "taken" in result.output
    assert "Traceback" not in result.output


def test_a_token_says_who_and_what(tmp_path: Path) -> None:
    options = ["--role", "tenant", "--tenant", "paper-boats", "--subject", "boats-server", "--state", str(tmp_path)]
    result = runner.invoke(app, ["token", *options])
    assert result.exit_code == 0, result.output
    claims = jwt.decode(result.output.strip(), options={"verify_signature": False})
    assert claims["roles"] == ["tenant"]
    assert claims["tenant"] == "paper-boats"
    assert claims["sub"] == "boats-server"
    assert claims["iss"] == State(tmp_path).issuer.issuer


def test_a_tenant_token_needs_its_tenant(tmp_path: Path) -> None:
    result = runner.invoke(app, ["token", "--role", "tenant", "--state", str(tmp_path)])
    assert result.exit_code == 1
    assert "needs --tenant" in result.output


def test_without_a_stack_a_token_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PLATEAU_TOKEN", raising=False)
    missing = str(tmp_path / "none")
    for arguments in (["apply", str(FLOORS / "pilot-6.yaml")], ["export"], ["dlq", "list"]):
        result = runner.invoke(app, [*arguments, "--state", missing])
        assert result.exit_code == 1
        assert "there is no local stack" in result.output


def test_no_traffic_and_a_traffic_file_contradict_each_other() -> None:
    traffic = ["--traffic", str(FLOORS / "sample.traffic.yaml")]
    result = runner.invoke(app, ["run", "--floor", str(FLOORS / "sample.yaml"), "--no-traffic", *traffic])
    assert result.exit_code == 1
    assert "leave out --traffic" in result.output


@pytest.mark.parametrize(("asked", "speed"), [([], 10), (["--no-traffic"], 1), (["--no-traffic", "--speed", "5"], 5)])
def test_without_traffic_time_is_real_unless_a_speed_is_given(
    monkeypatch: pytest.MonkeyPatch, asked: list[str], speed: float
) -> None:
    given: list[Options] = []

    def main(options: Options) -> int:
        given.append(options)
        return 0

    monkeypatch.setattr(run, "main", main)
    result = runner.invoke(app, ["run", "--floor", str(FLOORS / "sample.yaml"), *asked])
    assert result.exit_code == 0, result.output
    assert [(options.plays, options.speed) for options in given] == [("--no-traffic" not in asked, speed)]
