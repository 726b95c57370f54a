"""`extraction_params` of sources that hold files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Literal

from pydantic import Field, field_validator

from ingestion.model.base import StrictModel
from ingestion.model.connections import ConnectionDetails, GcsConnection, SftpConnection
from ingestion.model.extraction.base import ExtractionParams, PatternText
from ingestion.model.problems import Problem
from ingestion.model.schema import SchemaField


class FileFormat(StrEnum):
    """File formats that are read."""

    CSV = "CSV"
    JSON = "JSON"
    AVRO = "AVRO"
    PARQUET = "PARQUET"
    ORC = "ORC"
    XML = "XML"
    TEXT = "TEXT"


_TEXTS = frozenset({FileFormat.CSV, FileFormat.JSON, FileFormat.XML, FileFormat.TEXT})
_DELIMITED = frozenset({FileFormat.CSV, FileFormat.TEXT})
MEANINGFUL: Mapping[str, frozenset[FileFormat]] = {
    "field_delimiter": _DELIMITED,
    "quote": _DELIMITED,
    "escape": _DELIMITED,
    "skip_header_rows": _DELIMITED,
    "encoding": _TEXTS,
    "null_values": _TEXTS,
    "date_format": _TEXTS,
    "timestamp_format": _TEXTS,
    "data_path": frozenset({FileFormat.JSON}),
    "record_tag": frozenset({FileFormat.XML}),
    "fields": frozenset({FileFormat.TEXT}),
}
"""The formats for which a parameter means something; those absent here mean something for every format."""

Compression = Literal["none", "gzip", "bzip2", "xz", "zstd", "zip", "tar"]
ARCHIVES: frozenset[Compression] = frozenset({"zip", "tar"})
"""What may hold several files. A tar may itself be compressed."""


class FixedField(StrictModel):
    """A column of fixed-width text: `width` characters from the character `start`, counted from 1."""

    name: str = Field(min_length=1, max_length=300)
    start: int = Field(ge=1, le=1_000_000)
    width: int = Field(ge=1, le=1_000_000)

    @property
    def end(self) -> int:
        """The number of its last character."""
        return self.start + self.width - 1


class FileExtraction(ExtractionParams):
    """`extraction_params` for files. Unset fields are told from the files."""

    file_pattern: PatternText | None = None
    file_format: FileFormat | None = None
    field_delimiter: str | None = Field(default=None, min_length=1, max_length=4)
    quote: str | None = Field(default=None, max_length=1)
    escape: str | None = Field(default=None, max_length=1)
    encoding: str | None = None
    skip_header_rows: int | None = Field(default=None, ge=0, le=1000)
    null_values: tuple[str, ...] | None = None
    date_format: str | None = Field(default=None, min_length=1)
    timestamp_format: str | None = Field(default=None, min_length=1)
    compression: Compression | None = None
    archive_member: str | None = Field(
        default=None, min_length=1, description="Name, or pattern of names, of the files to read from an archive."
    )
    data_path: str | None = Field(default=None, min_length=1, description="Dotted path to the rows of a JSON document.")
    record_tag: str | None = Field(
        default=None,
        pattern=r"^([^\s<>:/]+:)?[^\s<>:/]+$",
        description="Name of the XML elements that are the rows, with or without a namespace prefix.",
    )
    fields: tuple[FixedField, ...] | None = Field(
        default=None, min_length=1, max_length=5_000, description="Columns of fixed-width text."
    )
    only_new_files: bool | None = Field(
        default=None, description="Whether files that an earlier execution has loaded are left out."
    )
    schema_: tuple[SchemaField, ...] | None = Field(default=None, alias="schema", min_length=1)

    @field_validator("encoding")
    @classmethod
    def _encoding_exists(cls, name: str | None) -> str | None:
        if name is not None:
            try:
                "".encode(name)
            except LookupError:
                raise ValueError(f"{name!r} is not a known encoding, such as utf-8, latin-1 or utf-16") from None
        return name

    @property
    def only_new(self) -> bool:
        """Whether files that were loaded before are left out."""
        return bool(self.only_new_files)

    def problems(self, connection: ConnectionDetails, prefix: str) -> Sequence[Problem]:
        """What cannot work on that source."""
        pattern = connection.file_pattern if isinstance(connection, GcsConnection | SftpConnection) else None
        found = list(self._contradictions(prefix))
        if self.file_pattern is None and pattern is None:
            found.append(Problem(f"{prefix}.file_pattern", "is needed here or in the source's connection_details"))
        return found

    def _contradictions(self, prefix: str) -> Iterator[Problem]:
        told = self.file_format
        for name, formats in MEANINGFUL.items():
            if told is not None and getattr(self, name) is not None and told not in formats:
                meant = " or ".join(sorted(formats))
                yield Problem(f"{prefix}.{name}", f"means nothing for {told} files, only for {meant}")
        yield from self._text_contradictions(prefix)
        if self.archive_member is not None and self.compression is not None and self.compression not in ARCHIVES:
            yield Problem(f"{prefix}.archive_member", f"means nothing for compression '{self.compression}'")

    def _text_contradictions(self, prefix: str) -> Iterator[Problem]:
        if self.fields is not None:
            if self.field_delimiter is not None:
                yield Problem(
                    f"{prefix}.field_delimiter", "contradicts fields: text is either delimited or fixed-width"
                )
            if self.file_format is None:
                yield Problem(f"{prefix}.file_format", "has to be TEXT for fields")
            names = [field.name.lower() for field in self.fields]
            if twice := sorted({name for name in names if names.count(name) > 1}):
                yield Problem(f"{prefix}.fields", f"has the column '{twice[0]}' twice")
        if self.file_format is FileFormat.TEXT and self.field_delimiter is None:
            for name in ("quote", "escape"):
                if getattr(self, name) is not None:
                    yield Problem(f"{prefix}.{name}", "means something only with field_delimiter")
