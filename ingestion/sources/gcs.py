"""Files in Google Cloud Storage buckets, or in the folders that stand for them."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ingestion.errors import ExecutionFailure, FileMissing, SourcePermissionDenied
from ingestion.formats.detection import kind_of
from ingestion.formats.reader import LocalFile, read_files
from ingestion.formats.samples import sample_rows
from ingestion.model.connections import GcsConnection
from ingestion.model.extraction import FileExtraction, FileFormat
from ingestion.model.macros import MACRO_NAMES, Interval, render, unknown_macros
from ingestion.sources.base import (
    ConnectionReport,
    ConnectorContext,
    Extraction,
    ExtractionRequest,
    ObjectDescription,
    ObjectVersion,
)
from ingestion.sources.buckets import Bucket, bucket_for

_LIST_SECONDS = 120.0
_EVERYTHING = "**"
_DESCRIBED_FILES = 5
_DESCRIBED_BYTES = 64 << 20
_HEAD_BYTES = 8 << 20


class GcsConnector:
    """Reads the objects of one bucket whose names match a pattern."""

    def __init__(self, connection: GcsConnection, context: ConnectorContext) -> None:
        self._connection = connection
        self._context = context

    def check(self, timeout_seconds: float) -> ConnectionReport:
        """List the bucket and read one byte of one object."""
        started = time.monotonic()
        test = _ConnectionTest()
        try:
            pattern = _rendered(self._connection.file_pattern or _EVERYTHING, self._today())
            bucket = self._bucket()
            found = test.run("list", lambda: bucket.objects(pattern, timeout_seconds), _count)
            if found:
                left = max(timeout_seconds - (time.monotonic() - started), 1.0)
                test.run("read", lambda: bucket.probe(found[0], left), lambda _: f"read '{found[0].name}'")
            else:
                test.note("read", f"no object matches '{pattern}', so reading was not tried")
        except ExecutionFailure as error:
            return test.report({"latency_ms": _milliseconds(started)}, error)
        measured = {
            "latency_ms": _milliseconds(started),
            "available_objects": len(found),
            "total_size_bytes": sum(version.size_bytes for version in found),
        }
        return test.report(measured)

    def describe(self, object_name: str, sample_rows_wanted: int) -> ObjectDescription:
        """The union schema of the first few files that match, told from their beginning when they are large."""
        bucket = self._bucket()
        chosen = _few(_require(bucket.objects(object_name, _LIST_SECONDS), object_name))
        params = FileExtraction()
        with tempfile.TemporaryDirectory(prefix="describe-") as folder:
            staged = Path(folder, "staged")
            files = [self._local(bucket, version, lambda: None, _limit(version)) for version in chosen]
            reading = read_files(files, params, staged)
            paths = [staged / file.name for file in reading.files]
            rows = sample_rows(paths, reading.schema, sample_rows_wanted)
        return ObjectDescription(object_name, reading.schema, rows)

    def extract(self, request: ExtractionRequest) -> Extraction:
        """Read every object that matches and was not read before. Raises FileMissing when none matches."""
        params = request.params
        assert isinstance(params, FileExtraction)
        bucket = self._bucket()
        pattern = _rendered(params.file_pattern or self._connection.file_pattern or _EVERYTHING, request.interval)
        found = _require(bucket.objects(pattern, _LIST_SECONDS), pattern)
        chosen = [version for version in found if version not in request.skip_objects]
        beat = _Heartbeat(request.progress)
        files = [self._local(bucket, version, beat.tick) for version in chosen]
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

    def _bucket(self) -> Bucket:
        return bucket_for(self._connection, self._context)

    def _today(self) -> Interval:
        at = self._context.now()
        return Interval(at.date(), at.date(), at)

    @staticmethod
    def _local(bucket: Bucket, version: ObjectVersion, tick: Callable[[], None], limit: int | None = None) -> LocalFile:
        def fetch(path: Path) -> None:
            bucket.fetch(version, path, tick, limit)
            if limit is not None and version.size_bytes > limit:
                _cut_to_whole_lines(path)

        return LocalFile(version.name, version.size_bytes, fetch)

    def _task_params(self, chosen: Sequence[ObjectVersion], folder: Path) -> Mapping[str, Any]:
        names = [version.name for version in chosen]
        read = {"object": names[0]} if len(names) == 1 else {"objects": names}
        return {"bucket": self._connection.bucket_name, **read, "destination": str(folder)}


class _Heartbeat:
    """Repeats the latest progress while one object is transferred, so that a cancel is noticed."""

    def __init__(self, progress: Callable[[Mapping[str, Any]], None]) -> None:
        self._progress = progress
        self._latest: Mapping[str, Any] = {"rows_extracted": 0, "bytes_processed": 0}

    def progress(self, metrics: Mapping[str, Any]) -> None:
        self._latest = metrics
        self._progress(metrics)

    def tick(self) -> None:
        self._progress(self._latest)


@dataclass
class _ConnectionTest:
    """Collects named sub-checks; `list` and `read` are also the permissions they prove."""

    checks: list[dict[str, Any]] = field(default_factory=list)
    proven: list[str] = field(default_factory=list)

    def run(self, name: str, attempt: Callable[[], Any], message: Callable[[Any], str]) -> Any:
        """The attempt's result, noted as a check; its failure is noted too, and raised."""
        try:
            result = attempt()
        except ExecutionFailure as error:
            self.checks.append({"name": name, "passed": False, "message": error.message})
            raise
        self.note(name, message(result))
        self.proven.append(name)
        return result

    def note(self, name: str, message: str) -> None:
        self.checks.append({"name": name, "passed": True, "message": message})

    def report(self, measured: Mapping[str, Any], error: ExecutionFailure | None = None) -> ConnectionReport:
        """What was found; with the error that ended the test, if any."""
        failed = [check["name"] for check in self.checks if not check["passed"]]
        results: dict[str, Any] = {
            "permissions": [name for name in ("read", "list") if name in self.proven],
            "missing_permissions": failed if isinstance(error, SourcePermissionDenied) else [],
            "checks": self.checks,
        }
        if error is not None:
            results |= {"error_code": error.code, "reason": error.message}
        return ConnectionReport(error is None, measured, results)


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


def _milliseconds(started: float) -> int:
    return round((time.monotonic() - started) * 1000)


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
