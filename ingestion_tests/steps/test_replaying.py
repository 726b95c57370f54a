"""Quarantined rows read again as the pipeline is now: loaded once and marked, or still OPEN with the new reason."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ingestion.errors import EmptySource
from ingestion.formats.reader import LocalFile, read_files
from ingestion.model.extraction import FileExtraction
from ingestion.model.quarantine import QuarantineRecord, QuarantineSelection, QuarantineStatus
from ingestion.sources.base import Extraction, ExtractionRequest, ObjectVersion
from ingestion.warehouses.base import PublishResult
from ingestion_tests.steps.workbench import Bench, RowsConnector, table_schema


class TextConnector(RowsConnector):
    """A file of text, read as a bucket's is."""

    def __init__(self, text: str, name: str = "f.csv") -> None:
        super().__init__(table_schema(id="INTEGER"), {})
        self.text = text.encode()
        self.name = name

    def extract(self, request: ExtractionRequest) -> Extraction:
        assert isinstance(request.params, FileExtraction)
        file = LocalFile(self.name, len(self.text), lambda path: _write(path, self.text))
        found = read_files([file], request.params, request.folder, request.known_schema)
        return Extraction(
            schema=found.schema, files=found.files, rejects=found.rejects, rows=found.rows - found.rejected,
            rejected=found.rejected, bytes_read=found.bytes_read, objects=[ObjectVersion(self.name, "1", 1)],
        )  # fmt: skip


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


class Replays:
    """A pipeline of files, its quarantine, and executions one after another."""

    def __init__(self, folder: Path, **configuration: Any) -> None:
        load = configuration.pop("load_params", {"write_disposition": "WRITE_APPEND"}) | {"max_bad_records": 10}
        self.bench = Bench(folder, {"load_params": load} | configuration)
        self.number = 0

    def read(self, text: str, name: str = "f.csv") -> PublishResult:
        self.number += 1
        return self.bench.run(TextConnector(text, name), f"e{self.number}")

    def replay(self, **wanted: Any) -> PublishResult:
        self.number += 1
        params = {"quarantine_replay": wanted}
        return self.bench.run(TextConnector("never read"), f"e{self.number}", params)

    def records(self, status: QuarantineStatus | None = None) -> Sequence[QuarantineRecord]:
        selection = QuarantineSelection("p", status=status)
        return self.bench.warehouse.quarantined(self.bench.target, selection, 0, 100).records

    def open(self) -> list[tuple[str | None, str | None, str | None]]:
        return [(item.position, item.error_code, item.got) for item in self.records(QuarantineStatus.OPEN)]


SCHEMA = [{"name": "id", "type": "INTEGER"}, {"name": "day", "type": "DATE"}]
TEXT = 'id,day,note\n1,2024-01-01,a\n2,02.01.2024,"x, ""y""\nz"\nthree,2024-01-03,\n4,2024-01-04\n'


def test_rows_of_text_that_fit_now_are_loaded_and_the_others_stay(tmp_path: Path) -> None:
    replays = Replays(tmp_path, extraction_params={"file_pattern": "*", "schema": SCHEMA})
    first = replays.read(TEXT)
    assert (first.loaded, first.quarantined) == (1, 3)
    replays.bench.configuration["extraction_params"]["date_format"] = "%d.%m.%Y"
    result = replays.replay()
    assert (result.extracted, result.loaded, result.quarantined) == (3, 1, 2)
    assert replays.bench.rows("SELECT id, note FROM main.t ORDER BY id") == [(1, "a"), (2, 'x, "y"\nz')]
    decided = replays.records(QuarantineStatus.REPLAYED)
    assert [(item.record_id, item.position, item.decided_by) for item in decided] == [("e1-000000002", "line 3", "e2")]
    assert {(code, got) for _, code, got in replays.open()} == {
        ("TYPE_MISMATCH", "three"), ("NOT_REPLAYABLE", "its text has not the 3 columns that its file names"),
    }  # fmt: skip
    before = replays.bench.rows("FROM main.t ORDER BY id")
    again = replays.replay()
    assert (again.extracted, again.loaded, again.quarantined) == (2, 0, 2)
    assert replays.bench.rows("FROM main.t ORDER BY id") == before
    assert len(replays.records()) == 3


def test_rows_of_json_and_of_the_transformation_are_transformed_again(tmp_path: Path) -> None:
    replays = Replays(
        tmp_path,
        extraction_params={"file_pattern": "*", "file_format": "JSON", "schema": [{"name": "n", "type": "NUMERIC"}]},
        transformation_params={"column_mappings": {"n": "amount"}, "type_conversions": {"amount": "NUMERIC(6,2)"}},
    )
    text = '{"n": 1.25}\n{"n": "much"}\n{"n": 123456.5}\n{"n": 12.345}\n'
    assert (replays.read(text, "f.ndjson").quarantined) == 3
    assert {item.stage for item in replays.records()} == {"extract", "transform"}
    replays.bench.configuration["transformation_params"] = {"column_mappings": {"n": "amount"}}
    _widen(replays.bench, "ALTER TABLE main.t ALTER amount TYPE DECIMAL(38,9)")
    result = replays.replay()
    assert (result.loaded, result.quarantined) == (2, 1)
    found = replays.bench.rows("SELECT CAST(amount AS VARCHAR) FROM main.t ORDER BY amount")
    assert [float(row[0]) for row in found] == [1.25, 12.345, 123456.5]


def _widen(bench: Bench, statement: str) -> None:
    with duckdb.connect(str(bench.warehouse.path("ds"))) as connection:
        connection.execute(statement)


def test_rows_that_were_transformed_are_not_transformed_again(tmp_path: Path) -> None:
    changes = {"column_mappings": {"n": "number"}, "calculated_fields": {"twice": "number * 2"}}
    replays = Replays(
        tmp_path,
        extraction_params={"file_pattern": "*"},
        transformation_params=changes,
        load_params={"write_disposition": "WRITE_APPEND", "schema_policy": {"columns": "quarantine"}},
    )
    replays.read("n\n1\n")
    assert replays.read("n,more\n2,x\n3,\n").quarantined == 1
    replays.bench.configuration["load_params"] = {"write_disposition": "WRITE_APPEND"}
    result = replays.replay()
    assert (result.loaded, result.details["columns_added"]) == (1, ["more"])
    assert replays.bench.rows("SELECT number, twice, more FROM main.t ORDER BY 1") == [
        (1, 2, None), (2, 4, "x"), (3, 6, None),
    ]  # fmt: skip
    assert replays.open() == []


def test_a_merge_does_not_put_an_old_row_over_a_later_one(tmp_path: Path) -> None:
    replays = Replays(tmp_path, extraction_params={"file_pattern": "*"}, load_params={"merge_key": "id"})
    first = replays.read("id,v\n1,a\n1,b\n2,c\n,d\n")
    assert (first.loaded, first.quarantined) == (1, 3)
    assert {item.error_code for item in replays.records()} == {"AMBIGUOUS_KEY", "NULL_KEY"}
    ids = [item.record_id for item in replays.records() if "b" in str(item.raw_row)]
    result = replays.replay(record_ids=ids)
    assert (result.extracted, result.loaded) == (1, 1)
    assert replays.bench.rows("FROM main.t ORDER BY id") == [(1, "b"), (2, "c")]
    assert len(replays.open()) == 2


def test_nothing_to_replay_changes_nothing(tmp_path: Path) -> None:
    replays = Replays(tmp_path, extraction_params={"file_pattern": "*"}, load_params={})
    replays.read("id\n1\n")
    before = replays.bench.everything()
    with pytest.raises(EmptySource, match="no OPEN rows"):
        replays.replay()
    assert replays.bench.everything() == before


def test_a_discarded_row_is_not_taken_and_a_replay_never_replaces_the_table(tmp_path: Path) -> None:
    schema = [{"name": "id", "type": "INTEGER"}]
    replays = Replays(tmp_path, extraction_params={"file_pattern": "*", "schema": schema}, load_params={})
    replays.read("id\n1\nII\nIII\n4\n")
    first = replays.records()[0].record_id
    selection = QuarantineSelection("p", (first,))
    for expected in (1, 0):
        assert replays.bench.warehouse.discard_quarantined(replays.bench.target, selection, "me") == expected
    replays.bench.configuration["extraction_params"] = {
        "file_pattern": "*", "schema": [{"name": "id", "type": "INTEGER"}], "null_values": ["III"],
    }  # fmt: skip
    result = replays.replay()
    assert (result.extracted, result.loaded) == (1, 1)
    assert replays.bench.rows("FROM main.t ORDER BY id") == [(1,), (4,), (None,)]
    assert {item.status for item in replays.records()} == {QuarantineStatus.DISCARDED, QuarantineStatus.REPLAYED}
