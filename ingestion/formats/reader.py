"""Files of one pattern to staged Parquet: unpack, stage raw, tell types, write typed, reject what does not fit."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from ingestion.errors import ParseFailed, SchemaMismatch
from ingestion.formats.avro_files import stage_avro
from ingestion.formats.casting import Formats
from ingestion.formats.columns import Columns, Encoding, RawFile, Target
from ingestion.formats.delimited import stage_csv
from ingestion.formats.detection import Compression, kind_of, require_format
from ingestion.formats.engine import engine, row_group_size
from ingestion.formats.json_files import stage_json
from ingestion.formats.nested import is_nested, require_readable
from ingestion.formats.orc_files import stage_orc
from ingestion.formats.parquet_files import stage_parquet
from ingestion.formats.rejects import RejectFile
from ingestion.formats.staged import StagedFile, staged_file
from ingestion.formats.text_files import stage_text
from ingestion.formats.typed import Reading, collect_misfits, learn, write_typed
from ingestion.formats.unpacking import CHUNK, HEAD_BYTES, ByteStream, compression_of, decompressed, naming_member
from ingestion.formats.xml_files import stage_xml
from ingestion.model.extraction import FileExtraction, FileFormat
from ingestion.model.schema import SchemaField, TableSchema

Progress = Callable[[Mapping[str, Any]], None]
StreamStager = Callable[
    [ByteStream, str, FileExtraction, Columns, Path, RejectFile, Callable[[], None]], Sequence[RawFile]
]
PathStager = Callable[[Path, str, Columns, Path, Callable[[], None]], RawFile]


@dataclass(frozen=True)
class LocalFile:
    """An object on this machine, as it is stored at its source. `fetch` brings it to a path that it is given."""

    name: str
    size_bytes: int
    fetch: Callable[[Path], None]


@dataclass(frozen=True)
class FileReading:
    """What came out of the files: rows read = `rows` = rows in `files` + `rejected`."""

    schema: TableSchema
    files: Sequence[StagedFile]
    rejects: Sequence[StagedFile]
    rows: int
    rejected: int
    bytes_read: int


def read_files(
    files: Iterable[LocalFile],
    params: FileExtraction,
    folder: Path,
    known: TableSchema | None = None,
    batch_size: int | None = None,
    progress: Progress = lambda metrics: None,
) -> FileReading:
    """Read all `files` into `folder`. On an error, or when `progress` raises, nothing is promised about the folder."""
    scratch = folder / "scratch"
    scratch.mkdir(parents=True)
    rejects = RejectFile(folder / "rejects-00000.parquet")
    try:
        with engine(scratch) as connection:
            job = _Job(connection, params, scratch, rejects, known, progress)
            for file in files:
                job.stage(file)
            schema, data = job.finish(folder, row_group_size(batch_size))
            return FileReading(
                schema=schema,
                files=data,
                rejects=rejects.close(),
                rows=sum(file.rows for file in data) + rejects.count,
                rejected=rejects.count,
                bytes_read=job.bytes_read,
            )
    except BaseException:
        rejects.abandon()
        raise
    finally:
        shutil.rmtree(scratch)


class _Job:
    """The state of one reading."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        params: FileExtraction,
        scratch: Path,
        rejects: RejectFile,
        known: TableSchema | None,
        progress: Progress,
    ) -> None:
        self._connection = connection
        self._params = params
        self._scratch = scratch
        self._rejects = rejects
        self._known = known
        self._progress = progress
        self._format: FileFormat | None = None
        self._columns = Columns(Encoding.TEXT, params.schema_ or (), known)
        self._staged: list[RawFile] = []
        self._number = 0
        self._rows = 0
        self._reading = Reading(params.null_values or (), Formats(params.date_format, params.timestamp_format))
        self.bytes_read = 0

    def stage(self, file: LocalFile) -> None:
        """Bring one object in and stage it raw."""
        fetched = self._path("fetched")
        file.fetch(fetched)
        self.bytes_read += file.size_bytes
        self._tick()
        try:
            told = self._use_format(naming_member(fetched, file.name) or file.name)
            if told in _PATH_STAGERS:
                self._stage_paths(file, fetched, _PATH_STAGERS[told])
            else:
                self._stage_streams(file, fetched, _STREAM_STAGERS[told])
        finally:
            fetched.unlink()
        self._tick()

    def finish(self, folder: Path, row_group: int) -> tuple[TableSchema, Sequence[StagedFile]]:
        """Settle the schema and write the data files."""
        targets = self._columns.targets()
        empty = next((raw for raw in self._staged if raw.rows), None)
        if empty is not None and not targets:
            raise SchemaMismatch(
                f"'{empty.object}' has rows but no columns: each of its rows is empty; point the pipeline at data with "
                f"columns, or declare them in extraction_params.schema",
                object=empty.object,
            )
        data: list[StagedFile] = []
        for raw in self._staged:
            if not raw.rows:
                continue
            path = folder / f"part-{len(data):05d}.parquet"
            data.append(self._write(raw, targets, path, row_group))
            self._tick()
        return TableSchema(fields=tuple(target.field for target in targets)), [file for file in data if file.rows]

    def _write(self, raw: RawFile, targets: Sequence[Target], path: Path, row_group: int) -> StagedFile:
        good = write_typed(self._connection, raw, targets, path, self._reading, row_group, self._tick)
        if good < raw.rows:
            bad = collect_misfits(self._connection, raw, targets, self._reading, self._rejects)
            if good + bad != raw.rows:
                raise ParseFailed(f"'{raw.object}': of {raw.rows} rows only {good} + {bad} are accounted for")
        raw.path.unlink()
        if not good:
            path.unlink()
            return StagedFile(path.name, 0, 0, "")
        return staged_file(path, good)

    def _use_format(self, name: str) -> FileFormat:
        told = require_format(name, self._params.file_format)
        if self._format is None:
            self._format = told
            self._columns = Columns(_ENCODINGS[told], self._declared(told), self._known)
        elif told is not self._format:
            raise ParseFailed(
                f"The pattern matches files of different formats: '{name}' is {told}, others are {self._format}; "
                f"narrow file_pattern or set file_format",
                object=name,
            )
        return told

    def _declared(self, told: FileFormat) -> Sequence[SchemaField]:
        declared = self._params.schema_ or ()
        for field in declared:
            if told in _FLAT and is_nested(field):
                raise SchemaMismatch(f"The column '{field.name}' is declared as nested, which {told} cannot hold")
            if told in _TREES:
                require_readable(field)
        return declared

    def _compression(self, file: LocalFile, fetched: Path) -> Compression:
        with fetched.open("rb") as opened:
            return compression_of(file.name, opened.read(HEAD_BYTES), self._params.compression)

    def _stage_streams(self, file: LocalFile, fetched: Path, stage: StreamStager) -> None:
        compression = self._compression(file, fetched)
        for name, stream in decompressed(fetched, file.name, compression, self._params.archive_member):
            named = name if kind_of(name).file_format else file.name
            raws = stage(stream, named, self._params, self._columns, self._path("raw"), self._rejects, self._tick)
            for raw in raws:
                self._add(raw)

    def _stage_paths(self, file: LocalFile, fetched: Path, stage: PathStager) -> None:
        """Formats that are read from their end need a plain file on disk."""
        compression = self._compression(file, fetched)
        if compression == "none":
            self._add(stage(fetched, file.name, self._columns, self._path("raw"), self._tick))
            return
        for name, stream in decompressed(fetched, file.name, compression, self._params.archive_member):
            plain = self._path("plain")
            with plain.open("wb") as out:
                while chunk := stream.read(CHUNK):
                    out.write(chunk)
                    self._tick()
            self._add(stage(plain, name, self._columns, self._path("raw"), self._tick))
            plain.unlink()

    def _add(self, raw: RawFile) -> None:
        if raw.encoding is not Encoding.NATIVE:
            learn(self._connection, raw, self._columns.all, self._reading, self._tick)
        self._staged.append(raw)
        self._rows += raw.rows

    def _path(self, kind: str) -> Path:
        self._number += 1
        return self._scratch / f"{self._number:06d}.{kind}"

    def _tick(self) -> None:
        self._progress({"rows_extracted": self._rows + self._rejects.count, "bytes_processed": self.bytes_read})


_FLAT = (FileFormat.CSV, FileFormat.TEXT)
_TREES = (FileFormat.JSON, FileFormat.XML)
_ENCODINGS: Mapping[FileFormat, Encoding] = {
    FileFormat.CSV: Encoding.TEXT,
    FileFormat.TEXT: Encoding.TEXT,
    FileFormat.JSON: Encoding.TOKEN,
    FileFormat.XML: Encoding.MARKUP,
    FileFormat.AVRO: Encoding.NATIVE,
    FileFormat.PARQUET: Encoding.NATIVE,
    FileFormat.ORC: Encoding.NATIVE,
}
_STREAM_STAGERS: Mapping[FileFormat, StreamStager] = {
    FileFormat.CSV: stage_csv,
    FileFormat.TEXT: stage_text,
    FileFormat.JSON: stage_json,
    FileFormat.XML: stage_xml,
    FileFormat.AVRO: stage_avro,
}
_PATH_STAGERS: Mapping[FileFormat, PathStager] = {FileFormat.PARQUET: stage_parquet, FileFormat.ORC: stage_orc}
