"""What a file name says."""

from __future__ import annotations

import pytest

from ingestion.errors import ParseFailed
from ingestion.formats.detection import FileKind, kind_of, require_format
from ingestion.model.extraction import FileFormat


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.csv", FileKind(FileFormat.CSV, "none", ".csv")),
        ("in/2024.01/A.TSV.GZ", FileKind(FileFormat.CSV, "gzip", ".tsv")),
        ("a.ndjson", FileKind(FileFormat.JSON, "none", ".ndjson")),
        ("a.jsonl.zip", FileKind(FileFormat.JSON, "zip", ".jsonl")),
        ("a.parquet", FileKind(FileFormat.PARQUET, "none", ".parquet")),
        ("a.gz", FileKind(None, "gzip", "")),
        ("a.csv.old", FileKind(None, "none", ".old")),
        ("folder.csv/data", FileKind(None, "none", "")),
        (".csv", FileKind(None, "none", "")),
    ],
)
def test_names(name: str, kind: FileKind) -> None:
    assert kind_of(name) == kind


def test_a_declared_format_wins_over_the_name() -> None:
    assert require_format("a.csv", FileFormat.JSON) is FileFormat.JSON
    assert require_format("a.csv", None) is FileFormat.CSV
    with pytest.raises(
        ParseFailed, match=r"'a\.dat'.*set file_format to one of CSV, JSON, AVRO, PARQUET, ORC, XML, TEXT"
    ):
        require_format("a.dat", None)
