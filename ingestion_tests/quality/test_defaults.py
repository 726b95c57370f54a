"""Checks every load gets."""

from __future__ import annotations

from ingestion.model.quality import CheckSpec, Severity
from ingestion.model.schema import FieldMode, FieldType, SchemaField, TableSchema
from ingestion.quality.defaults import default_checks, with_defaults


def test_defaults_follow_from_the_schema() -> None:
    schema = TableSchema(
        fields=(
            SchemaField(name="id", type=FieldType.INTEGER, mode=FieldMode.REQUIRED),
            SchemaField(name="name", type=FieldType.STRING, mode=FieldMode.REQUIRED),
            SchemaField(name="note", type=FieldType.STRING),
        )
    )
    found = {spec.title: spec.severity for spec in default_checks(schema, ("id",), 7)}
    assert found == {
        "row_count_reconciles": Severity.ERROR,
        "not_null_id": Severity.WARN,
        "not_null_name": Severity.ERROR,
        "unique_id": Severity.WARN,
    }
    declared = CheckSpec(check="not_null", column="name", severity=Severity.WARN)
    merged = with_defaults([declared], default_checks(schema, (), 7))
    assert [spec.title for spec in merged] == ["row_count_reconciles", "not_null_id", "not_null_name"]
    assert merged[-1] is declared
