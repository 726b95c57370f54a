from __future__ import annotations

import pytest

from api.wire.checking import checked
from api.wire.sources import (
    SOURCE_TYPES,
    ConnectionTest,
    SchemaShown,
    SourceBody,
    SourceChanges,
    SourceShown,
    TypesShown,
    definition_of,
    show_schema,
    show_source,
    show_source_in_list,
)
from ingestion.model.schema import TableSchema
from ingestion.model.source import SourceType
from ingestion.sources.base import ObjectDescription
from ingestion_tests.store.samples import a_source

DETAILS = {"host": "h", "database": "d", "credentials": {"username": "u", "password_secret": "env://X"}}


def test_what_is_shown_has_the_model_s_fields_in_its_order() -> None:
    shown = show_source(a_source())
    assert list(shown) == list(SourceShown.model_fields)
    assert SourceShown.model_validate(shown).model_dump(mode="json") == shown
    assert checked(SourceBody, definition_of(a_source())).model_dump(mode="json") == definition_of(a_source())
    assert list(SourceChanges.model_fields) == list(SourceBody.model_fields)


def test_lists_leave_credentials_out_and_the_source_as_it_is() -> None:
    source = a_source(source_type=SourceType.CLOUD_SQL, connection_details=DETAILS)
    assert show_source_in_list(source)["connection_details"] == {"host": "h", "database": "d"}
    assert show_source(source)["connection_details"] == DETAILS


def test_every_type_is_told() -> None:
    told = TypesShown.model_validate({"source_types": SOURCE_TYPES})
    assert [entry.type for entry in told.source_types] == list(SourceType)


@pytest.mark.parametrize(("parameters", "seconds"), [(None, 30), ({}, 30), ({"timeout_seconds": 0.5}, 0.5)])
def test_a_connection_test_has_a_deadline(parameters: object, seconds: float) -> None:
    body = {"source_type": "GCS", "connection_details": {}, "test_parameters": parameters}
    assert checked(ConnectionTest, body).timeout_seconds == seconds


def test_masked_samples_still_tell_what_is_missing() -> None:
    schema = TableSchema.model_validate({"fields": [{"name": "id", "type": "INTEGER"}]})
    found = ObjectDescription("a.csv", schema, [{"id": 1}, {"id": None}])

    shown = show_schema(found, may_see_values=False)

    assert shown["sample_data"] == [{"id": "***"}, {"id": None}]
    assert show_schema(found, may_see_values=True)["sample_data"] == [{"id": 1}, {"id": None}]
    assert SchemaShown.model_validate(shown).model_dump(mode="json", exclude_unset=True) == shown
