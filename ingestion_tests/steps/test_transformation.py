"""The compiled SELECT on real rows."""

from __future__ import annotations

from typing import Any

import duckdb
import pytest

from ingestion.errors import SchemaMismatch
from ingestion.model.pipeline import Deduplication, TransformationParams
from ingestion.model.schema import TableSchema
from ingestion.steps.timestamps import timestamp_candidates
from ingestion.steps.transformation import Transformation, asks_for_nothing, compile_transformation
from ingestion_tests.steps.workbench import table_schema

SCHEMA = table_schema(id="INTEGER", name="STRING", seen="STRING")
VALUES = "(1, 'a', '2023-01-01T00:00:00Z'), (2, 'b', NULL), (2, 'c', 'never')"


def compiled(known: TableSchema | None = None, timestamps: tuple[str, ...] = (), **params: Any) -> Transformation:
    return compile_transformation(TransformationParams(**params), SCHEMA, "source", known, timestamps)


def outcomes(transformation: Transformation) -> list[tuple[Any, ...]]:
    """(position, outcome, column of the problem, values...) of every row, in order."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("CREATE TABLE source (id BIGINT, name VARCHAR, seen VARCHAR)")
        connection.execute(f"INSERT INTO source VALUES {VALUES}")
        rows = connection.execute(f"FROM ({transformation.select}) ORDER BY 1").fetchall()
    return [(row[0], row[1], row[2] and row[2]["column_name"], *row[3:]) for row in rows]


def test_renaming_and_dropping() -> None:
    made = compiled(column_mappings={"NAME": "label"}, drop=("seen",))
    assert made.schema.names == ["id", "label"]
    assert outcomes(made)[0] == (1, "kept", None, 1, "a")


def test_names_may_be_exchanged() -> None:
    made = compiled(column_mappings={"name": "seen", "seen": "name"})
    assert made.schema.names == ["id", "seen", "name"]
    assert outcomes(made)[1] == (2, "kept", None, 2, "b", None)


def test_calculated_fields_see_the_ones_before_and_may_replace_columns() -> None:
    made = compiled(calculated_fields={"double": "id * 2", "four": "double * 2", "name": "upper(name)"})
    assert [(column.name, column.type.value) for column in made.schema.fields] == [
        ("id", "INTEGER"),
        ("seen", "STRING"),
        ("double", "INTEGER"),
        ("four", "INTEGER"),
        ("name", "STRING"),
    ]
    assert outcomes(made)[0][3:] == (1, "2023-01-01T00:00:00Z", 2, 4, "A")


def test_an_expression_that_fails_on_a_row_rejects_that_row_only() -> None:
    made = compiled(calculated_fields={"n": "CASE WHEN name = 'b' THEN CAST(name AS INTEGER) ELSE NULL END"})
    assert [row[1:3] for row in outcomes(made)] == [("kept", None), ("rejected", "n"), ("kept", None)]


def test_a_filter_that_is_null_or_fails() -> None:
    assert [row[1] for row in outcomes(compiled(filter="seen <> 'never'"))] == ["kept", "filtered", "filtered"]
    failing = compiled(filter="CAST(seen AS TIMESTAMP) IS NOT NULL")
    assert [row[1:3] for row in outcomes(failing)] == [("kept", None), ("filtered", None), ("rejected", "filter")]


def test_rows_that_are_out_already_are_not_judged_again() -> None:
    made = compiled(type_conversions={"seen": "TIMESTAMP"}, filter="id < 2", deduplicate=Deduplication(keys=("id",)))
    assert [row[1:3] for row in outcomes(made)] == [("kept", None), ("filtered", None), ("rejected", "seen")]


def test_deduplication_keeps_the_first_by_order_then_by_position() -> None:
    by_position = compiled(deduplicate=Deduplication(keys=("ID",)))
    assert [row[1] for row in outcomes(by_position)] == ["kept", "kept", "duplicate"]
    by_name = compiled(deduplicate=Deduplication(keys=("id",), order_by="name DESC"))
    assert [row[1] for row in outcomes(by_name)] == ["kept", "duplicate", "kept"]


def test_apply_schema_casts_to_what_is_known() -> None:
    made = compiled(known=table_schema(ID="STRING", other="DATE"), apply_schema=True)
    assert [column.type.value for column in made.schema.fields] == ["STRING", "STRING", "STRING"]
    assert outcomes(made)[0][3] == "1"
    assert compiled(known=SCHEMA, apply_schema=True).is_identity


def test_timestamps_follow_the_target_once_it_is_there() -> None:
    params = TransformationParams(convert_timestamps=True)
    assert timestamp_candidates(params, SCHEMA, None) == ["name", "seen"]
    assert timestamp_candidates(params, SCHEMA, table_schema(seen="STRING")) == ["name"]
    made = compiled(known=table_schema(seen="TIMESTAMP"), convert_timestamps=True)
    assert [row[1:3] for row in outcomes(made)] == [("kept", None), ("kept", None), ("rejected", "seen")]


@pytest.mark.parametrize(
    "params",
    [
        {"column_mappings": {"nosuch": "x"}},
        {"column_mappings": {"name": "ID"}},
        {"type_conversions": {"nosuch": "DATE"}},
        {"calculated_fields": {"x": "nosuch + 1"}},
        {"calculated_fields": {"x": "(SELECT 1)"}},
        {"calculated_fields": {"x": "[[1]]"}},
        {"filter": "upper(name)::DATE + name"},
        {"deduplicate": {"keys": ("nosuch",)}},
        {"deduplicate": {"keys": ("id",), "order_by": "nosuch"}},
        {"drop": ("nosuch",)},
        {"drop": ("id", "name", "seen")},
    ],
)
def test_what_does_not_fit_the_columns_is_a_schema_mismatch(params: dict[str, Any]) -> None:
    with pytest.raises(SchemaMismatch):
        compiled(**params)


def test_an_expression_over_an_unknown_column_tells_the_columns_there_are() -> None:
    with pytest.raises(SchemaMismatch, match=r"the filter does not fit the columns id, name, seen: .*nosuch"):
        compiled(filter="nosuch > 1")


def test_parameters_that_ask_for_nothing() -> None:
    assert asks_for_nothing(None)
    assert asks_for_nothing(TransformationParams(apply_schema=False, column_mappings={}, drop=()))
    assert not asks_for_nothing(TransformationParams(apply_schema=True))
