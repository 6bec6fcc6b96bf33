"""Alembic's entry."""

from common.migrations import run_env
from dialer.tables import Base

run_env(Base.metadata)
