"""The connector of every source that holds files. Where the files are is the business of a FileStore."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from ingestion.errors import ExecutionFailure, FileMissing
from ingestion.formats.detection import kind_of
from ingestion.formats.reader import LocalFile, read_files
from ingestion.formats.samples import sample_rows
from ingestion.model.extraction import FileExtraction, FileFormat
from ingestion.model.macros import MACRO_NAMES, Interval, render, unknown_macros
from ingestion.sources.base import (
    ConnectionReport,
    Extraction,
    ExtractionRequest,
    ObjectDescription,
    ObjectVersion,
)
from ingestion.sources.checks import Checks
from ingestion.sources.file_store import FileStore, Tick, never_stop

_LIST_SECONDS = 120.0
_EVERYTHING = "**"
_DESCRIBED_FILES = 5
_DESCRIBED_BYTES = 64 << 20
_HEAD_BYTES = 8 << 20


class FileConnector:
    """Reads the files of one store whose names match a pattern.

    `place` says in the facts of the extract task where that was. `open_store` is called once per use.
    """

    def __init__(
        self,
        open_store: Callable[[], FileStore],
        file_pattern: str | None,
        place: Mapping[str, Any],
        now: Callable[[], datetime],
    ) -> None:
        self._open_store = open_store
        self._file_pattern = file_pattern
        self._place = place
        self._now = now

    def check(self, timeout_seconds: float) -> ConnectionReport:
        """Reach the store, list it and read one byte of one file."""
        checks = Checks(timeout_seconds)
        try:
            pattern = _rendered(self._file_pattern or _EVERYTHING, self._today())
            with self._store() as store:
                store.reach(checks)
                found = checks.run("list", lambda: store.objects(pattern, checks.left), _count)
                _try_to_read(store, found, pattern, checks)
        except ExecutionFailure as error:
            return checks.report({}, error)
        size = sum(version.size_bytes for version in found)
        return checks.report({"available_objects": len(found), "total_size_bytes": size})

    def describe(self, object_name: str, sample_rows_wanted: int) -> ObjectDescription:
        """The union schema of the first few files that match, told from their beginning when they are large."""
        params = FileExtraction()
        with self._store() as store, tempfile.TemporaryDirectory(prefix="describe-") as folder:
            chosen = _few(_require(store.objects(object_name, _LIST_SECONDS), object_name))
            staged = Path(folder, "staged")
            files = [_local(store, version, never_stop, _limit(version)) for version in chosen]
            reading = read_files(files, params, staged)
            paths = [staged / file.name for file in reading.files]
            rows = sample_rows(paths, reading.schema, sample_rows_wanted)
        return ObjectDescription(object_name, reading.schema, rows)

    def extract(self, request: ExtractionRequest) -> Extraction:
        """Read every file that matches and was not read before. Raises FileMissing when none matches."""
        params = request.params
        assert isinstance(params, FileExtraction)
        pattern = _rendered(params.file_pattern or self._file_pattern or _EVERYTHING, request.interval)
        beat = _Heartbeat(request.progress)
        with self._store() as store:
            found = _require(store.objects(pattern, _LIST_SECONDS, beat.tick), pattern)
            chosen = [version for version in found if version not in request.skip_objects]
            store.expect(chosen)
            files = [_local(store, version, beat.tick) for version in chosen]
            reading = read_files(
                files, params, request.folder, request.known_schema, request.execution.batch_size, beat.progress
            )
        return Extraction(
            schema=reading.schema,
            files=reading.files,
            rejects=reading.rejects,
            rows=reading.rows - reading.rejected,
            rejected=reading.rejected,
            bytes_read=reading.bytes_read,
            objects=tuple(chosen),
            skipped_objects=len(found) - len(chosen),
            task_params=self._task_params(chosen, request.folder),
        )

    @contextmanager
    def _store(self) -> Iterator[FileStore]:
        store = self._open_store()
        try:
            yield store
        finally:
            store.close()

    def _today(self) -> Interval:
        at = self._now()
        return Interval(at.date(), at.date(), at)

    def _task_params(self, chosen: Sequence[ObjectVersion], folder: Path) -> Mapping[str, Any]:
        names = [version.name for version in chosen]
        read = {"object": names[0]} if len(names) == 1 else {"objects": names}
        return {**self._place, **read, "destination": str(folder)}


class _Heartbeat:
    """Repeats the latest progress while one file is transferred, so that a cancel is noticed."""

    def __init__(self, progress: Callable[[Mapping[str, Any]], None]) -> None:
        self._progress = progress
        self._latest: Mapping[str, Any] = {"rows_extracted": 0, "bytes_processed": 0}

    def progress(self, metrics: Mapping[str, Any]) -> None:
        self._latest = metrics
        self._progress(metrics)

    def tick(self) -> None:
        self._progress(self._latest)


def _try_to_read(store: FileStore, found: Sequence[ObjectVersion], pattern: str, checks: Checks) -> None:
    if not found:
        checks.note("read", f"no object matches '{pattern}', so reading was not tried")
        return
    first = found[0]
    checks.run("read", lambda: store.probe(first, checks.left), lambda _: f"read '{first.name}'")


def _local(store: FileStore, version: ObjectVersion, tick: Tick, limit: int | None = None) -> LocalFile:
    def fetch(path: Path) -> None:
        store.fetch(version, path, tick, limit)
        if limit is not None and version.size_bytes > limit:
            _cut_to_whole_lines(path)

    return LocalFile(version.name, version.size_bytes, fetch)


def _require(found: list[ObjectVersion], pattern: str) -> list[ObjectVersion]:
    if not found:
        raise FileMissing(f"Source file not found: {pattern}", pattern=pattern)
    return found


def _rendered(pattern: str, interval: Interval) -> str:
    unknown = unknown_macros(pattern)
    if unknown:
        raise FileMissing(
            f"The file pattern '{pattern}' has the unknown macro '{unknown[0]}'; known are {', '.join(MACRO_NAMES)}"
        )
    return render(pattern, interval)


def _count(found: Sequence[ObjectVersion]) -> str:
    return f"{len(found)} objects"


def _few(found: Sequence[ObjectVersion]) -> list[ObjectVersion]:
    """The first files to describe: few, and not too large together, but at least one."""
    chosen = [found[0]]
    size = found[0].size_bytes
    for version in found[1:_DESCRIBED_FILES]:
        size += version.size_bytes
        if size > _DESCRIBED_BYTES:
            break
        chosen.append(version)
    return chosen


def _limit(version: ObjectVersion) -> int | None:
    """How much of a file suffices to describe it; None when only the whole can be read."""
    kind = kind_of(version.name)
    in_lines = kind.file_format is FileFormat.CSV or kind.extension in (".ndjson", ".jsonl")
    return _HEAD_BYTES if in_lines and kind.compression == "none" and version.size_bytes > _HEAD_BYTES else None


def _cut_to_whole_lines(path: Path) -> None:
    data = path.read_bytes()
    end = data.rfind(b"\n") + 1
    if end:
        path.write_bytes(data[:end])
