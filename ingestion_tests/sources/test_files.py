"""What the connector asks of a store, whatever the store is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ingestion.errors import Cancelled, ConnectionFailed, FileMissing
from ingestion.model.extraction import FileExtraction
from ingestion.sources.base import ObjectVersion
from ingestion.sources.checks import Checks
from ingestion.sources.file_store import FileStore, Tick, never_stop
from ingestion.sources.files import FileConnector
from ingestion_tests.sources.conftest import request_for

FILES = {"a.csv": b"id\n1\n", "b.csv": b"id\n2\n3\n"}


class MemoryStore:
    """Files in a dict. Notes what it was asked for."""

    def __init__(self, files: dict[str, bytes], broken: bool = False) -> None:
        self._files = files
        self._broken = broken
        self.expected: list[str] = []
        self.fetched: list[str] = []
        self.closed = 0

    def reach(self, checks: Checks) -> None:
        checks.note("tcp", "memory is near")

    def objects(self, pattern: str, timeout_seconds: float, tick: Tick = never_stop) -> list[ObjectVersion]:
        if self._broken:
            raise ConnectionFailed("gone")
        tick()
        return [ObjectVersion(name, "1", len(data)) for name, data in sorted(self._files.items())]

    def expect(self, versions: Sequence[ObjectVersion]) -> None:
        self.expected = [version.name for version in versions]

    def fetch(self, version: ObjectVersion, path: Path, tick: Tick, limit: int | None = None) -> None:
        tick()
        self.fetched.append(version.name)
        path.write_bytes(self._files[version.name][:limit])

    def probe(self, version: ObjectVersion, timeout_seconds: float) -> None:
        assert version.name in self._files

    def close(self) -> None:
        self.closed += 1


def connector(store: FileStore) -> FileConnector:
    return FileConnector(lambda: store, "*", {"shelf": 7}, lambda: datetime(2026, 11, 24, tzinfo=UTC))


def test_files_are_announced_fetched_in_order_and_the_store_closed(tmp_path: Path) -> None:
    store = MemoryStore(FILES)
    result = connector(store).extract(request_for(FileExtraction(), tmp_path / "s"))
    assert store.expected == store.fetched == ["a.csv", "b.csv"]
    assert (result.rows, result.bytes_read, store.closed) == (3, 12, 1)
    assert result.task_params["shelf"] == 7


def test_loaded_files_are_neither_announced_nor_fetched(tmp_path: Path) -> None:
    store = MemoryStore(FILES)
    loaded = frozenset({ObjectVersion("a.csv", "1", 5)})
    result = connector(store).extract(request_for(FileExtraction(), tmp_path / "s", skip_objects=loaded))
    assert store.expected == store.fetched == ["b.csv"]
    assert (result.rows, result.skipped_objects) == (2, 1)


def test_a_cancel_is_noticed_while_listing_and_the_store_closed(tmp_path: Path) -> None:
    store = MemoryStore(FILES)

    def cancel(metrics: Any) -> None:
        raise Cancelled("cancelled")

    with pytest.raises(Cancelled):
        connector(store).extract(request_for(FileExtraction(), tmp_path / "s", progress=cancel))
    assert (store.fetched, store.closed) == ([], 1)


def test_nothing_that_matches_is_a_missing_file(tmp_path: Path) -> None:
    store = MemoryStore({})
    with pytest.raises(FileMissing, match="Source file not found: x"):
        connector(store).extract(request_for(FileExtraction(file_pattern="x"), tmp_path / "s"))
    with pytest.raises(FileMissing, match="Source file not found: y"):
        connector(store).describe("y", 1)
    assert store.closed == 2


def test_a_connection_test_reports_and_never_raises() -> None:
    store = MemoryStore(FILES)
    report = connector(store).check(5)
    assert report.successful
    assert [check["name"] for check in report.results["checks"]] == ["tcp", "list", "read"]
    assert report.results["permissions"] == ["read", "list"]
    empty = connector(MemoryStore({})).check(5)
    assert empty.successful
    assert empty.results["permissions"] == ["list"]
    broken = connector(MemoryStore(FILES, broken=True)).check(5)
    assert (broken.successful, broken.results["error_code"]) == (False, "CONNECTION_FAILED")


def test_only_whole_lines_of_a_large_file_are_described() -> None:
    store = MemoryStore({"a.csv": b"id,text\n" + b"1,some text\n" * 800_000})
    described = connector(store).describe("*", 3)
    assert described.schema.names == ["id", "text"]
    assert described.sample_rows == [{"id": 1, "text": "some text"}] * 3
