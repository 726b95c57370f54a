from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from ingestion.model.connections import GcsConnection
from ingestion.model.extraction import FileExtraction
from ingestion.model.extraction.files import MEANINGFUL

BUCKET = GcsConnection(bucket_name="b", file_pattern="*")
FIELDS = [{"name": "a", "start": 1, "width": 3}]


def problems(**params: Any) -> list[str]:
    return [str(problem) for problem in FileExtraction.model_validate(params).problems(BUCKET, "x")]


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, []),
        ({"file_format": "CSV", "field_delimiter": ";", "null_values": ["NA"]}, []),
        ({"file_format": "TEXT", "fields": FIELDS, "skip_header_rows": 1}, []),
        ({"file_format": "XML", "record_tag": "ns:row", "encoding": "latin-1"}, []),
        ({"archive_member": "*.csv", "compression": "tar", "only_new_files": True}, []),
        ({"file_format": "AVRO", "encoding": "utf-8"}, ["x.encoding: means nothing for AVRO files, only for"]),
        ({"file_format": "JSON", "record_tag": "r"}, ["x.record_tag: means nothing for JSON files, only for XML"]),
        ({"file_format": "XML", "quote": "'"}, ["x.quote: means nothing for XML files, only for CSV or TEXT"]),
        ({"file_format": "TEXT", "data_path": "a"}, ["x.data_path: means nothing for TEXT files, only for JSON"]),
        ({"file_format": "TEXT", "quote": "'"}, ["x.quote: means something only with field_delimiter"]),
        ({"file_format": "TEXT", "fields": FIELDS, "field_delimiter": ";"}, ["x.field_delimiter: contradicts fields"]),
        ({"file_format": "TEXT", "fields": [*FIELDS, *FIELDS]}, ["x.fields: has the column 'a' twice"]),
        ({"fields": FIELDS}, ["x.file_format: has to be TEXT for fields"]),
        ({"compression": "gzip", "archive_member": "a"}, ["x.archive_member: means nothing for compression 'gzip'"]),
    ],
)
def test_parameters_that_mean_nothing_are_refused(params: dict[str, Any], expected: list[str]) -> None:
    found = problems(**params)
    assert len(found) == len(expected)
    for problem, start in zip(found, expected, strict=True):
        assert problem.startswith(start)


@pytest.mark.parametrize(
    "params",
    [
        {"record_tag": "a/b"},
        {"record_tag": ""},
        {"fields": []},
        {"fields": [{"name": "a", "start": 0, "width": 1}]},
        {"fields": [{"name": "a", "start": 1}]},
        {"compression": "rar"},
    ],
)
def test_values_that_cannot_be_are_refused(params: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(params))):
        FileExtraction.model_validate(params)


def test_every_parameter_of_a_format_exists() -> None:
    assert set(MEANINGFUL) <= set(FileExtraction.model_fields)
