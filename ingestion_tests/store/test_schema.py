from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text

from ingestion.errors import ServiceUnavailable
from ingestion.store import Store, schema
from ingestion.store.engine import Database
from ingestion.store.tables import metadata


def test_the_migrations_make_exactly_the_tables(store: Store, store_url: str) -> None:
    database = Database(store_url)
    with database.read() as connection:
        options = {"version_table": schema.VERSION_TABLE, "compare_type": True, "compare_server_default": True}
        assert compare_metadata(MigrationContext.configure(connection, opts=options), metadata) == []
        columns = {
            (table, column["name"], column["nullable"])
            for table in metadata.tables
            for column in inspect(connection).get_columns(table)
        }
    database.close()
    assert columns == {
        (table.name, column.name, column.nullable) for table in metadata.tables.values() for column in table.c
    }


def test_migrate_is_needed_once(bare_url: str) -> None:
    with Store.open(bare_url) as store:
        assert not store.is_current()
        store.migrate()
        assert store.is_current()
        token = store.pipelines.change_token()
        store.migrate()
        assert store.pipelines.change_token() == token


def test_migrate_makes_the_folder(tmp_path: Any) -> None:
    with Store.open(f"sqlite:///{tmp_path / 'a' / 'b' / 'store.sqlite'}") as store:
        with pytest.raises(ServiceUnavailable):
            store.ping()
        store.migrate()
        store.ping()
        assert store.is_current()


def _migrate_in_process(url: str) -> bool:
    with Store.open(url) as store:
        store.migrate()
        return store.is_current()


def test_processes_that_migrate_at_once(bare_url: str, processes: ProcessPoolExecutor) -> None:
    assert list(processes.map(_migrate_in_process, [bare_url] * 6)) == [True] * 6


def test_a_migration_that_is_interrupted_leaves_nothing(bare_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    upgrade = command.upgrade

    def interrupted(*arguments: Any) -> None:
        upgrade(*arguments)
        raise KeyboardInterrupt

    database = Database(bare_url)
    with monkeypatch.context() as patch:
        patch.setattr(command, "upgrade", interrupted)
        with pytest.raises(KeyboardInterrupt):
            schema.migrate(database)
    with database.read() as connection:
        assert inspect(connection).get_table_names() == []
    schema.migrate(database)
    assert schema.is_current(database)
    database.close()


def test_the_schema_of_a_later_version_is_left_alone(bare_url: str) -> None:
    database = Database(bare_url)
    schema.migrate(database)
    with database.write() as connection:
        connection.execute(text(f"UPDATE {schema.VERSION_TABLE} SET version_num = 'later'"))
    assert not schema.is_current(database)
    with pytest.raises(ServiceUnavailable, match="of another version of this service"):
        schema.migrate(database)
    database.close()


def test_downgrade_leads_back_to_nothing(bare_url: str) -> None:
    database = Database(bare_url)
    schema.migrate(database)
    with database.write() as connection:
        config = schema._config()
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
    with database.read() as connection:
        assert inspect(connection).get_table_names() == [schema.VERSION_TABLE]
    database.close()
