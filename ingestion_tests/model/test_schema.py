from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from ingestion.model.schema import FieldMode, FieldType, SchemaField, TableSchema

SALE = SchemaField(name="sale_id", type=FieldType.STRING, mode=FieldMode.REQUIRED, description="Unique sale identifier")


def test_a_field_of_the_contract() -> None:
    assert SALE.wire() == {
        "name": "sale_id",
        "type": "STRING",
        "mode": "REQUIRED",
        "description": "Unique sale identifier",
    }


def test_optional_parts_are_shown_when_they_are_there() -> None:
    part = SchemaField(name="amount", type=FieldType.NUMERIC, precision=10, scale=0)
    record = SchemaField(name="r", type=FieldType.RECORD, mode=FieldMode.REPEATED, fields=(part,))
    shown = {"name": "amount", "type": "NUMERIC", "mode": "NULLABLE", "description": "", "precision": 10, "scale": 0}
    assert part.wire() == shown
    assert record.wire()["fields"] == [shown]


@pytest.mark.parametrize(
    "given",
    [
        {"name": "", "type": "STRING"},
        {"name": "a", "type": "INT64"},
        {"name": "a", "type": "RECORD"},
        {"name": "a", "type": "STRING", "fields": [{"name": "b", "type": "STRING"}]},
        {"name": "a", "type": "NUMERIC", "precision": 77},
        {"name": "a", "type": "NUMERIC", "scale": -1},
    ],
)
def test_fields_that_cannot_be(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        SchemaField.model_validate(given)


def test_names_are_unique_without_regard_to_case() -> None:
    with pytest.raises(ValidationError, match="'SALE_ID' is there twice"):
        TableSchema(fields=(SALE, SchemaField(name="SALE_ID", type=FieldType.STRING)))


def test_columns_are_found_without_regard_to_case() -> None:
    schema = TableSchema(fields=(SALE, SchemaField(name="b", type=FieldType.DATE)))
    assert schema.names == ["sale_id", "b"]
    assert schema.get("Sale_ID") == SALE
    assert schema.get("c") is None
