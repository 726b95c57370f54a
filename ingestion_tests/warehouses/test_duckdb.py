"""DuckDB as the warehouse: dispositions, schemas, bookkeeping."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ingestion.errors import IngestionError, SchemaMismatch, TargetFailed
from ingestion.model.load import WriteDisposition
from ingestion.model.quality import CheckSpec
from ingestion.model.schema import FieldMode, FieldType, SchemaField, TableSchema
from ingestion.settings import Settings
from ingestion.sources.base import Cursor, ObjectVersion
from ingestion.warehouses import PublishRequest, TargetTable, open_warehouse
from ingestion.warehouses.duckdb import DuckDBWarehouse
from ingestion_tests.steps.workbench import table_schema
from ingestion_tests.warehouses.loading import TARGET, load, stage

SCHEMA = table_schema(id="INTEGER", name="STRING")
ROWS: list[Mapping[str, Any]] = [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]
APPEND = WriteDisposition.WRITE_APPEND


@pytest.fixture
def warehouse(tmp_path: Path) -> DuckDBWarehouse:
    return DuckDBWarehouse(tmp_path / "warehouse", wait_seconds=5)


def query(warehouse: DuckDBWarehouse, statement: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(warehouse.path("ds"))) as connection:
        return connection.execute(statement).fetchall()


def test_the_settings_name_the_folder(tmp_path: Path) -> None:
    made = open_warehouse(Settings(home=tmp_path))
    assert isinstance(made, DuckDBWarehouse)
    assert made.path("d") == tmp_path / "warehouse" / "d.duckdb"


def test_reading_the_state_makes_nothing(warehouse: DuckDBWarehouse, tmp_path: Path) -> None:
    state = warehouse.state("p", TARGET)
    assert (state.schema, state.row_count, state.cursor, state.loaded_objects) == (None, 0, None, frozenset())
    assert warehouse.published("e", TARGET) is None
    warehouse.discard("e", TARGET)
    assert list(tmp_path.iterdir()) == []


def test_a_file_made_by_hand_is_used(warehouse: DuckDBWarehouse, tmp_path: Path) -> None:
    warehouse.path("ds").parent.mkdir()
    query(warehouse, "CREATE TABLE orders (ID INTEGER, extra DATE)")
    query(warehouse, "INSERT INTO orders VALUES (7, NULL)")
    assert warehouse.state("p", TARGET).row_count == 1
    assert warehouse.published("e", TARGET) is None
    load(warehouse, tmp_path / "f", "e1", SCHEMA, ROWS, APPEND)
    assert query(warehouse, "SELECT * FROM orders ORDER BY id") == [
        (1, None, "a"),
        (2, None, "b"),
        (7, None, None),
    ]


def test_truncate_swaps_schema_and_rows(warehouse: DuckDBWarehouse, tmp_path: Path) -> None:
    load(warehouse, tmp_path / "f", "e1", SCHEMA, ROWS, objects=[ObjectVersion("a", "1", 1)])
    result = load(
        warehouse, tmp_path / "f", "e2", table_schema(other="DATE"), [{"other": None}],
        objects=[ObjectVersion("b", "2", 1)], forgets_objects=True,
    )  # fmt: skip
    assert (result.loaded, result.target_rows, result.details["rows_before"]) == (1, 1, 2)
    state = warehouse.state("p", TargetTable("ds", "orders"))
    assert state.schema is not None
    assert state.schema.names == ["other"]
    assert state.loaded_objects == {ObjectVersion("b", "2", 1)}
    assert state.last_execution_id == "e2"


def test_append_adds_columns_and_fills_missing_ones(warehouse: DuckDBWarehouse, tmp_path: Path) -> None:
    load(warehouse, tmp_path / "f", "e1", SCHEMA, ROWS[:1])
    load(warehouse, tmp_path / "f", "e2", table_schema(NEW="FLOAT", ID="INTEGER"), [{"NEW": 0.5, "ID": 9}], APPEND)
    assert query(warehouse, 'SELECT id, name, "new" FROM orders ORDER BY id') == [(1, "a", None), (9, None, 0.5)]


def test_another_type_is_refused_before_anything_changes(warehouse: DuckDBWarehouse, tmp_path: Path) -> None:
    load(warehouse, tmp_path / "f", "e1", SCHEMA, ROWS)
    wrong = table_schema(name="FLOAT", added="STRING")
    with pytest.raises(SchemaMismatch, match="name is FLOAT, the target has STRING"):
        load(warehouse, tmp_path / "f", "e2", wrong, [{"name": 1.0, "added": "x"}], APPEND)
    assert query(warehouse, "SELECT * FROM orders ORDER BY id") == [(1, "a"), (2, "b")]


def test_write_empty_takes_an_empty_table_only(warehouse: DuckDBWarehouse, tmp_path: Path) -> None:
    load(warehouse, tmp_path / "f", "e1", SCHEMA, ROWS, WriteDisposition.WRITE_EMPTY)
    with pytest.raises(TargetFailed, match="has 2 rows"):
        load(warehouse, tmp_path / "f", "e2", SCHEMA, ROWS, WriteDisposition.WRITE_EMPTY)
    query(warehouse, "DELETE FROM orders")
    assert load(warehouse, tmp_path / "f", "e3", SCHEMA, ROWS, WriteDisposition.WRITE_EMPTY).loaded == 2


def test_a_view_is_no_target(warehouse: DuckDBWarehouse, tmp_path: Path) -> None:
    warehouse.path("ds").parent.mkdir()
    query(warehouse, "CREATE VIEW orders AS SELECT 1 AS id")
    with pytest.raises(TargetFailed, match="is a view"):
        load(warehouse, tmp_path / "f", "e1", SCHEMA, ROWS)


def test_counts_that_do_not_add_up_are_rolled_back(warehouse: DuckDBWarehouse, tmp_path: Path) -> None:
    stage(warehouse, tmp_path / "f", "e1", SCHEMA, ROWS)
    with pytest.raises(TargetFailed, match="do not add up: 3 extracted, but 2 loaded"):
        warehouse.publish(PublishRequest("e1", "p", TARGET, SCHEMA, WriteDisposition.WRITE_TRUNCATE, extracted=3))
    assert warehouse.state("p", TARGET).schema is None


def test_publishing_what_was_not_staged_is_refused(warehouse: DuckDBWarehouse, tmp_path: Path) -> None:
    stage(warehouse, tmp_path / "f", "e1", SCHEMA, ROWS)
    with pytest.raises(TargetFailed, match="no staged rows"):
        warehouse.publish(PublishRequest("e2", "p", TARGET, SCHEMA, APPEND, extracted=2))
    with pytest.raises(TargetFailed, match="no staged rows"):
        warehouse.audit("e2", TARGET, [CheckSpec(check="row_count", min=1)])


def test_staging_is_replaced_audited_and_dropped(warehouse: DuckDBWarehouse, tmp_path: Path) -> None:
    stage(warehouse, tmp_path / "f", "e1", SCHEMA, ROWS)
    assert stage(warehouse, tmp_path / "f", "e1", SCHEMA, ROWS[:1]) == 1
    [result] = warehouse.audit("e1", TARGET, [CheckSpec(check="row_count", min=1, max=1)])
    assert result.passed
    warehouse.discard("e1", TARGET)
    assert query(warehouse, "SELECT * FROM duckdb_tables() WHERE schema_name = '_staging'") == []


def test_every_type_goes_in_and_is_told_again(warehouse: DuckDBWarehouse, tmp_path: Path) -> None:
    plain = [SchemaField(name=kind.value, type=kind) for kind in FieldType if kind is not FieldType.RECORD]
    nested = SchemaField(
        name="items",
        type=FieldType.RECORD,
        mode=FieldMode.REPEATED,
        fields=(
            SchemaField(name='odd "name"', type=FieldType.STRING),
            SchemaField(name="tags", type=FieldType.STRING, mode=FieldMode.REPEATED),
        ),
    )
    schema = TableSchema(fields=(*plain, nested))
    row = dict.fromkeys(schema.names) | {"JSON": '{"a": 1}', "items": [{'odd "name"': "x", "tags": ["y"]}]}
    load(warehouse, tmp_path / "f", "e1", schema, [row])
    load(warehouse, tmp_path / "f", "e2", schema, [row], APPEND, skip_present=True, window=Cursor("INTEGER", "5"))
    state = warehouse.state("p", TARGET)
    assert state.row_count == 1
    assert state.schema is not None
    there = state.schema.get("items")
    assert there is not None
    assert (there.mode, there.type) == (FieldMode.REPEATED, FieldType.RECORD)
    assert [(column.name, column.type) for column in state.schema.fields[:2]] == [
        ("STRING", FieldType.STRING),
        ("BYTES", FieldType.BYTES),
    ]


def test_a_merge_adds_columns_too(warehouse: DuckDBWarehouse, tmp_path: Path) -> None:
    load(warehouse, tmp_path / "f", "e1", SCHEMA, ROWS)
    wider = table_schema(id="INTEGER", name="STRING", more="DATE")
    merged = [{"id": 2, "name": "bb", "more": None}, {"id": 3, "name": "c", "more": None}]
    result = load(warehouse, tmp_path / "f", "e2", wider, merged, WriteDisposition.MERGE, key=("ID",))
    assert (result.loaded, result.target_rows) == (2, 3)
    assert query(warehouse, "SELECT id, name FROM orders ORDER BY id") == [(1, "a"), (2, "bb"), (3, "c")]


def test_threads_of_one_process_take_turns(tmp_path: Path) -> None:
    warehouse = DuckDBWarehouse(tmp_path / "warehouse", wait_seconds=120)
    failures: list[IngestionError] = []

    def work(number: int) -> None:
        target = TargetTable("ds", f"t{number}")
        try:
            load(warehouse, tmp_path / f"f{number}", f"e{number}", SCHEMA, ROWS, target=target)
            assert warehouse.state("p", target).row_count == 2
        except IngestionError as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert query(warehouse, "SELECT count(*) FROM _ingestion.loads") == [(4,)]
