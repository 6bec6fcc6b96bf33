"""The command line without a running stack."""

from __future__ import annotations

from pathlib import Path

import jwt
import pytest
from plateau.cli import app
from plateau.state import State
from typer.testing import CliRunner

FLOORS = Path(__file__).parents[2] / "deploy" / "local" / "floors"
runner = CliRunner()


@pytest.mark.parametrize("name", ["pilot-6.yaml", "centre-60.yaml", "sample.yaml"])
def test_the_samples_validate(name: str) -> None:
    result = runner.invoke(app, ["validate", str(FLOORS / name)])
    assert result.exit_code == 0, result.output
    assert f"{name}: right." in result.output


@pytest.mark.parametrize("command", [["validate"], ["apply"], ["run", "--floor"]])
def test_a_wrong_floor_is_told_before_anything_is_started_or_sent(tmp_path: Path, command: list[str]) -> None:
    floor = tmp_path / "floor.yaml"
    floor.write_text((FLOORS / "pilot-6.yaml").read_text().replace('"4.20"', '"-4.20"').replace("Europe/Paris", "Mars"))
    result = runner.invoke(app, [*command, str(floor)])
    assert result.exit_code == 1
    assert 'floor.yaml:14:16: tenants.paper-boats.time_zone: must be an IANA time zone, not "Mars"' in result.output
    assert 'a price must not be negative, not "-4.20"' in result.output
    assert "2 wrong values; nothing was applied" in result.output


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
