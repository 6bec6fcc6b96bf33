"""Alembic's entry: KPI's tables."""

from __future__ import annotations

from common.migrations import run_env
from kpi.tables import Base

run_env(Base.metadata)
