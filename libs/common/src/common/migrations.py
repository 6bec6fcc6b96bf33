"""Alembic for every service: one schema each, expand/contract only, checked for drift.

python -m common.migrations upgrade billing      (DATABASE_URL names the service's own database user)
python -m common.migrations check billing
"""

from __future__ import annotations

import argparse
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import sqlalchemy
from alembic import command, context
from alembic.config import Config
from alembic.operations import Operations
from alembic.util import CommandError
from sqlalchemy import MetaData

from common.tables import TENANT_TABLES, system_tables


def _sqlalchemy_url(url: str) -> str:
    return "postgresql+psycopg://" + url.partition("://")[2]


def _config(service: str, url: str) -> Config:
    spec = find_spec(service)
    if spec is None or spec.origin is None:
        raise SystemExit(f"no service {service!r} is installed")
    config = Config()
    config.set_main_option("script_location", str(Path(spec.origin).parent / "migrations"))
    config.attributes["url"] = _sqlalchemy_url(url)
    return config


def run_env(metadata: MetaData) -> None:
    """What a service's `migrations/env.py` calls."""
    engine = sqlalchemy.create_engine(context.config.attributes["url"], poolclass=sqlalchemy.NullPool)
    with engine.connect() as connection:
        # Two migration Jobs at once: the second waits, then finds nothing to do.
        connection.execute(sqlalchemy.text("SELECT pg_advisory_lock(hashtext(current_schema() || '.migrations'))"))
        connection.commit()
        context.configure(
            connection=connection,
            target_metadata=metadata,
            transaction_per_migration=True,
            compare_server_default=False,
        )
        with context.begin_transaction():
            context.run_migrations()
    engine.dispose()


def upgrade(service: str, url: str) -> None:
    """Bring the service's schema to the newest version. Idempotent; safe to run twice at once."""
    command.upgrade(_config(service, url), "head")


def check(service: str, url: str) -> None:
    """Raises alembic's CommandError when the migrated schema and `tables.py` differ."""
    command.check(_config(service, url))


def create_system_tables(op: Operations | ModuleType) -> None:
    """Inbox, outbox, dead letters, idempotency keys, API keys, audit: for a service's first migration."""
    metadata = MetaData()
    system_tables(metadata)
    metadata.create_all(op.get_bind(), checkfirst=False)
    enable_row_level_security(op, *TENANT_TABLES)
    # The outbox is a queue: rows live for milliseconds, so dead ones have to go quickly.
    op.execute("ALTER TABLE outbox SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000)")


def enable_row_level_security(op: Operations | ModuleType, *tables: str) -> None:
    """Show and accept only rows of the transaction's tenant, for the owner of the table too."""
    for table in tables:
        op.execute(f'ALTER TABLE "{table}" ENABLE ROW LEVEL SECURITY')
        op.execute(f'ALTER TABLE "{table}" FORCE ROW LEVEL SECURITY')
        # `plateau.tenant` unset reads as NULL: then no row is visible.
        op.execute(
            f"""
            CREATE POLICY tenant_isolation ON "{table}"
            USING (current_setting('plateau.tenant', true) IN ('*', tenant_id))
            WITH CHECK (current_setting('plateau.tenant', true) IN ('*', tenant_id))
            """
        )


def provision(admin_url: str, schema: str, password: str) -> str:
    """Create role and schema for one service on a server that we administer; returns the service's URL. Idempotent.

    For the local stack and the tests; elsewhere the database's administrator does it.
    """
    admin = sqlalchemy.create_engine(_sqlalchemy_url(admin_url), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        exists = connection.execute(
            sqlalchemy.text("SELECT 1 FROM pg_roles WHERE rolname = :r"), {"r": schema}
        ).scalar()
        quoted = password.replace("'", "''")
        verb = "ALTER" if exists else "CREATE"
        connection.exec_driver_sql(f"{verb} ROLE \"{schema}\" LOGIN NOSUPERUSER NOBYPASSRLS PASSWORD '{quoted}'")
        connection.exec_driver_sql(f'CREATE SCHEMA IF NOT EXISTS "{schema}" AUTHORIZATION "{schema}"')
        connection.exec_driver_sql(f'ALTER ROLE "{schema}" SET search_path = "{schema}"')
    admin.dispose()
    url = sqlalchemy.make_url(admin_url).set(username=schema, password=password)
    return url.render_as_string(hide_password=False)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m common.migrations")
    parser.add_argument("command", choices=["upgrade", "check"])
    parser.add_argument("service", help="import name, such as crm_bridge")
    options = parser.parse_args()
    secret = Path("/run/secrets/DATABASE_URL")
    url = os.environ.get("DATABASE_URL") or (secret.read_text().strip() if secret.is_file() else None)
    if not url:
        raise SystemExit("DATABASE_URL is not set, and there is no /run/secrets/DATABASE_URL")
    try:
        (upgrade if options.command == "upgrade" else check)(options.service, url)
    except CommandError as difference:
        sys.exit(str(difference))


if __name__ == "__main__":
    main()
