"""Our fields as BigQuery's columns."""

from __future__ import annotations

import pytest
from google.cloud import bigquery

from ingestion.errors import SchemaMismatch
from ingestion.formats.bigquery_types import (
    as_published,
    column_type,
    from_bigquery,
    literal,
    quoted,
    require_columns,
    staged_field,
    to_bigquery,
)
from ingestion.model.schema import FieldMode, FieldType, SchemaField, TableSchema

NESTED = SchemaField(
    name="r",
    type=FieldType.RECORD,
    mode=FieldMode.REPEATED,
    fields=(SchemaField(name="j", type=FieldType.JSON), SchemaField(name="n", type=FieldType.NUMERIC)),
)


def test_every_type_goes_there_and_back() -> None:
    plain = [SchemaField(name=kind.value, type=kind) for kind in FieldType if kind is not FieldType.RECORD]
    exact = SchemaField(name="d", type=FieldType.BIGNUMERIC, precision=40, scale=30, description="money")
    schema = TableSchema(fields=(*plain, exact, NESTED))
    assert from_bigquery("t", to_bigquery(schema.fields)) == schema
    require_columns(schema)


def test_types_as_statements_have_them() -> None:
    assert column_type(NESTED) == "ARRAY<STRUCT<`j` JSON, `n` NUMERIC>>"
    assert column_type(SchemaField(name="x", type=FieldType.NUMERIC, precision=10, scale=2)) == "NUMERIC(10, 2)"
    [parsed] = from_bigquery("t", [bigquery.SchemaField("x", "NUMERIC(10, 2)")]).fields
    assert (parsed.precision, parsed.scale) == (10, 2)
    assert (quoted("a`b"), literal("it's \\n\n")) == ("`a\\`b`", "'it\\'s \\\\n\\n'")


def test_json_is_text_until_it_is_published() -> None:
    staged = staged_field(NESTED)
    assert staged.fields is not None
    assert [part.type for part in staged.fields] == [FieldType.STRING, FieldType.NUMERIC]
    assert "PARSE_JSON(_ingestion_e0.`j`, wide_number_mode=>'exact')" in as_published(NESTED, "s.r")
    assert as_published(SchemaField(name="x", type=FieldType.DATE), "s.x") == "s.x"


@pytest.mark.parametrize(
    ("field", "reason"),
    [
        (SchemaField(name="a.b", type=FieldType.STRING), "no name it takes"),
        (SchemaField(name="_PARTITIONTIME", type=FieldType.STRING), "no name it takes"),
        (SchemaField(name="n", type=FieldType.NUMERIC, precision=38, scale=2), "at most 29.9 digits"),
        (NESTED.model_copy(update={"fields": (SchemaField(name="x]", type=FieldType.DATE),)}), "r.x]"),
    ],
)
def test_columns_that_cannot_be_are_refused(field: SchemaField, reason: str) -> None:
    with pytest.raises(SchemaMismatch, match=reason):
        require_columns(TableSchema(fields=(field,)))


def test_types_no_field_has_are_refused() -> None:
    with pytest.raises(SchemaMismatch, match="place of t is GEOGRAPHY"):
        from_bigquery("t", [bigquery.SchemaField("place", "GEOGRAPHY")])
