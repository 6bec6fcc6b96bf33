"""Loads the scripts of `deploy/`, which belong to no package."""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


def _load(path: Path) -> ModuleType:
    spec = spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[path.stem] = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def root() -> Path:
    """Of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def checks() -> ModuleType:
    """`deploy/k8s/checks.py`."""
    return _load(ROOT / "deploy" / "k8s" / "checks.py")


@pytest.fixture(scope="session")
def generate_topics() -> ModuleType:
    """`deploy/k8s/generate_topics.py`."""
    return _load(ROOT / "deploy" / "k8s" / "generate_topics.py")


@pytest.fixture(scope="session")
def service_requirements() -> ModuleType:
    """`deploy/docker/service_requirements.py`."""
    return _load(ROOT / "deploy" / "docker" / "service_requirements.py")
