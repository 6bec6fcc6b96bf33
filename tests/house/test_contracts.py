"""Every contract of `.importlinter` fails on an import that it is there to forbid."""

from __future__ import annotations

import shutil
import subprocess
import sys
from configparser import ConfigParser
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = (
    ROOT / "libs" / "common" / "src",
    *sorted((ROOT / "services").glob("*/src")),
    ROOT / "deploy" / "local" / "src",
)
PURE = {
    "caller_id",
    "errors",
    "events",
    "hours",
    "ids",
    "money",
    "phone",
    "public_holidays",
    "requirements",
    "sheets",
    "spelling",
    "time_zones",
}
"""What a domain may import of `common`."""


@dataclass(frozen=True)
class Plant:
    """One statement, added to a module (made anew if it is not there), that breaks one contract."""

    contract: str
    module: str
    statement: str

    def __str__(self) -> str:
        return f"{self.contract}: {self.module}: {self.statement}"


PLANTED = (
    Plant("independent-services", "billing/consumer.py", "import kpi.domain.counts"),
    Plant("independent-services", "routing/domain/pool.py", "from crm_bridge import domain"),
    Plant("common-below", "common/money.py", "import billing.domain.tariffs"),
    Plant("common-below", "common/service.py", "import plateau.floor"),
    Plant("no-tools", "kpi/consumer.py", "from common.testing import eventually"),
    Plant("no-tools", "dialer/main.py", "import plateau.simulator"),
    Plant("layers", "billing/domain/tariffs.py", "from billing.store import ledger"),
    Plant("layers", "kpi/store/series.py", "from kpi import service"),
    Plant("layers", "crm_bridge/service/cases.py", "from crm_bridge import api"),
    Plant("layers", "dialer/consumer.py", "from dialer import api"),
    Plant("layers", "routing/api/__init__.py", "from routing.config import Settings"),
    Plant("layers", "billing/config.py", "from billing import main"),
    Plant("layers", "routing/utils.py", "HANDY = True"),
    Plant("pure-domain", "crm_bridge/domain/cases.py", "import httpx"),
    Plant("pure-domain", "dialer/domain/pacing.py", "import asyncio"),
    Plant("pure-domain", "dialer/domain/lead.py", "import random"),
    Plant("pure-domain", "routing/domain/decisions.py", "from time import monotonic"),
    Plant("pure-domain", "billing/domain/rating.py", "from common.database import Session"),
    Plant("pure-domain", "kpi/domain/sketch.py", "from common.clock import Clock"),
    Plant("pure-domain", "common/events/base.py", "from common import telemetry"),
)


def _contracts() -> ConfigParser:
    parser = ConfigParser()
    parser.read(ROOT / ".importlinter")
    return parser


def _lint(house: Path, *contracts: str) -> str:
    """What import-linter says of the packages in `house`, each contract's verdict on a line."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-logo"]
    command += ["--cache-dir", str(house.parent / "cache")]
    command += [argument for contract in contracts for argument in ("--contract", contract)]
    return subprocess.run(command, cwd=house, capture_output=True, text=True, check=False).stdout


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of all packages side by side, found before the installed ones because it is the working directory."""
    house = tmp_path_factory.mktemp("contracts") / "house"
    for source in SOURCES:
        shutil.copytree(source, house, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / ".importlinter", house)
    return house


def test_house_keeps_its_contracts(house: Path) -> None:
    said = _lint(house)
    assert " 0 broken." in said, said


@pytest.mark.parametrize("plant", PLANTED, ids=str)
def test_planted_import_breaks_its_contract(house: Path, plant: Plant) -> None:
    path = house / plant.module
    original = path.read_text() if path.exists() else None
    path.write_text(f"{original or ''}\n{plant.statement}\n")
    try:
        said = _lint(house, plant.contract)
    finally:
        if original is None:
            path.unlink()
        else:
            path.write_text(original)
    name = _contracts()[f"importlinter:contract:{plant.contract}"]["name"]
    assert f"{name} BROKEN" in said, said


def test_every_contract_has_a_planted_import() -> None:
    named = {section.rpartition(":")[2] for section in _contracts().sections() if ":contract:" in section}
    assert named == {plant.contract for plant in PLANTED}


def test_every_module_of_common_is_pure_or_forbidden_to_domains() -> None:
    """So that a new module of `common` is not open to domains by oversight."""
    contract = _contracts()["importlinter:contract:pure-domain"]
    forbidden = {name.removeprefix("common.") for name in contract["forbidden_modules"].split() if "common." in name}
    modules = {
        path.stem
        for path in (ROOT / "libs" / "common" / "src" / "common").iterdir()
        if (path.suffix == ".py" or (path / "__init__.py").exists()) and path.stem != "__init__"
    }
    assert forbidden == modules - PURE
