"""A toy service: the system tables and one table of tallies."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from common.database import Database
from common.migrations import create_system_tables, enable_row_level_security
from sqlalchemy import create_engine, make_url
from support import Stack


@pytest.fixture
async def toy(stack: Stack) -> AsyncIterator[Database]:
    """A database with system tables and `tallies (tenant_id, name, count)`, empty."""
    url = stack.empty_database("toy")
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"))
    with engine.begin() as connection:
        operations = Operations(MigrationContext.configure(connection))
        create_system_tables(operations)
        operations.execute(
            "CREATE TABLE tallies (tenant_id text, name text, count int NOT NULL, PRIMARY KEY (tenant_id, name))"
        )
        enable_row_level_security(operations, "tallies")
    engine.dispose()
    async with Database(url, source="toy") as database:
        yield database
