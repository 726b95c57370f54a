"""`extraction_params` of sources that hold files."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Literal

from pydantic import Field, field_validator

from ingestion.model.connections import ConnectionDetails, GcsConnection, SftpConnection
from ingestion.model.extraction.base import ExtractionParams, PatternText
from ingestion.model.problems import Problem
from ingestion.model.schema import SchemaField


class FileFormat(StrEnum):
    """File formats this version reads."""

    CSV = "CSV"
    JSON = "JSON"
    PARQUET = "PARQUET"


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
    compression: Literal["none", "gzip", "zip"] | None = None
    archive_member: str | None = Field(default=None, min_length=1)
    data_path: str | None = Field(default=None, min_length=1, description="Dotted path to the rows of a JSON document.")
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

    def problems(self, connection: ConnectionDetails, prefix: str) -> Sequence[Problem]:
        """What cannot work on that source."""
        pattern = connection.file_pattern if isinstance(connection, GcsConnection | SftpConnection) else None
        if self.file_pattern is None and pattern is None:
            return [Problem(f"{prefix}.file_pattern", "is needed here or in the source's connection_details")]
        return ()
