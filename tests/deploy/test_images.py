"""One image for each service, all made alike, holding what that service needs and nothing else."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

SERVICES = {"routing": "routing", "dialer": "dialer", "crm-bridge": "crm_bridge", "billing": "billing", "kpi": "kpi"}

LOCK = """\
bench-tool==1.0.0 \\
    --hash=sha256:aa
Http_Lib[fast]==2.1.0 ; sys_platform == 'linux' \\
    --hash=sha256:bb \\
    --hash=sha256:cc
    # via common
signatures==3.0.0 \\
    --hash=sha256:dd
"""


@pytest.mark.parametrize("service", SERVICES)
def test_dockerfile_differs_by_the_name_alone(root: Path, service: str) -> None:
    def read(name: str) -> str:
        return (root / "services" / name / "Dockerfile").read_text()

    own = read(service).replace(f"{SERVICES[service]}.main", "<import>.main")
    assert own.replace(service, "<service>") == read("kpi").replace("kpi.main", "<import>.main").replace(
        "kpi", "<service>"
    )


@pytest.mark.parametrize("service", SERVICES)
def test_dockerfile_runs_the_service_as_no_one_in_particular(root: Path, service: str) -> None:
    lines = (root / "services" / service / "Dockerfile").read_text().splitlines()
    assert lines[-1] == f'CMD ["python", "-m", "{SERVICES[service]}.main"]'
    assert "USER 10001:10001" in lines
    assert [line for line in lines if line.startswith("FROM")] == [
        "FROM python:3.11-slim AS build",
        "FROM python:3.11-slim",
    ]


def test_pins_are_the_versions_of_the_lock(service_requirements: ModuleType) -> None:
    assert service_requirements.pins(LOCK).splitlines() == [
        "bench-tool==1.0.0",
        "Http_Lib==2.1.0 ; sys_platform == 'linux'",
        "signatures==3.0.0",
    ]


def test_kept_lines_have_all_their_hashes(service_requirements: ModuleType) -> None:
    assert service_requirements.kept(LOCK, ["http-lib"]).splitlines()[:3] == LOCK.splitlines()[2:5]
    assert "bench-tool" not in service_requirements.kept(LOCK, ["http-lib", "Signatures"])


def test_package_that_is_not_locked_is_named(service_requirements: ModuleType) -> None:
    with pytest.raises(ValueError, match="not in the lock: left-pad"):
        service_requirements.kept(LOCK, ["signatures", "left-pad"])


@pytest.mark.parametrize("service", SERVICES)
def test_lock_holds_what_the_service_asks_for(root: Path, service_requirements: ModuleType, service: str) -> None:
    folders = (root / "libs" / "common", root / "services" / service)
    direct = service_requirements.direct([(folder / "pyproject.toml").read_text() for folder in folders])
    lock = (root / "requirements.lock").read_text()
    kept = service_requirements.kept(lock, [requirement.split("[")[0] for requirement in direct])
    assert kept.count("==") == len(direct)
    assert "common" not in direct
