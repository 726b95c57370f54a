"""Reading files the way a connector does."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingestion.formats.reader import FileReading, LocalFile, read_files
from ingestion.formats.staged import REJECT_COLUMNS
from ingestion.model.extraction import FileExtraction
from ingestion.model.schema import SchemaField, TableSchema


@dataclass(frozen=True)
class Outcome:
    """A reading with its rows and rejects."""

    reading: FileReading
    rows: list[dict[str, Any]]
    rejects: list[dict[str, Any]]

    @property
    def types(self) -> dict[str, str]:
        return {field.name: field.type.value for field in self.reading.schema.fields}

    def brief(self) -> list[tuple[str, str, str | None]]:
        return [(reject["position"], reject["error_code"], reject["column_name"]) for reject in self.rejects]


class Reader:
    """Reads bytes as if they were objects of these names."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0

    def __call__(
        self,
        files: Mapping[str, bytes | Path],
        known: TableSchema | None = None,
        batch_size: int | None = None,
        **params: Any,
    ) -> Outcome:
        self._count += 1
        staged = self._folder / f"staging-{self._count}"
        local = [_local(name, data) for name, data in files.items()]
        reading = read_files(local, FileExtraction.model_validate(params), staged, known, batch_size)
        assert sorted(path.name for path in staged.iterdir()) == sorted(
            file.name for file in [*reading.files, *reading.rejects]
        )
        rows = [row for file in reading.files for row in _table(staged / file.name).to_pylist()]
        rejects = [row for file in reading.rejects for row in _table(staged / file.name).to_pylist()]
        for file in reading.files:
            assert pq.read_schema(staged / file.name).names == list(reading.schema.names)
        for reject in rejects:
            assert list(reject) == list(REJECT_COLUMNS)
        assert reading.rows == len(rows) + len(rejects)
        assert reading.rejected == len(rejects)
        return Outcome(reading, rows, rejects)


def _table(path: Path) -> pa.Table:
    return pq.read_table(path)


def _local(name: str, data: bytes | Path) -> LocalFile:
    def fetch(path: Path) -> None:
        if isinstance(data, Path):
            shutil.copy(data, path)
        else:
            path.write_bytes(data)

    return LocalFile(name, data.stat().st_size if isinstance(data, Path) else len(data), fetch)


@pytest.fixture
def read(tmp_path: Path) -> Reader:
    """Reads files into a fresh folder each time it is called."""
    return Reader(tmp_path)


def schema_of(*fields: str) -> list[dict[str, Any]]:
    """Declared fields written as `name TYPE` or `name TYPE REQUIRED` or `name NUMERIC 10 2`."""
    declared = []
    for text in fields:
        name, kind, *rest = text.split()
        field: dict[str, Any] = {"name": name, "type": kind}
        if rest == ["REQUIRED"]:
            field["mode"] = "REQUIRED"
        elif rest:
            field |= {"precision": int(rest[0]), "scale": int(rest[1])}
        declared.append(field)
    return declared


def known(*fields: str) -> TableSchema:
    """The same as the target's schema."""
    return TableSchema(fields=tuple(SchemaField.model_validate(field) for field in schema_of(*fields)))
