"""Alembic's entry."""

from common.migrations import run_env
from routing.tables import Base

run_env(Base.metadata)
