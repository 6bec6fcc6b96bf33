"""Alembic's entry."""

from common.migrations import run_env
from crm_bridge.tables import Base

run_env(Base.metadata)
