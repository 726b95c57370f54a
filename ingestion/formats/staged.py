"""Finished files in a staging folder, and the columns of those that hold rejected rows."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class StagedFile:
    """A Parquet file below the staging folder. `sha256` proves it whole when it is adopted by a retry."""

    name: str
    rows: int
    size_bytes: int
    sha256: str


REJECT_COLUMNS: Mapping[str, str] = {
    "object": "VARCHAR",
    "position": "VARCHAR",
    "stage": "VARCHAR",
    "error_code": "VARCHAR",
    "column_name": "VARCHAR",
    "expected": "VARCHAR",
    "got": "VARCHAR",
    "raw_row": "VARCHAR",
    "raw_columns": "VARCHAR",
}
"""Columns of a reject file and of the quarantine table: where the row came from and what is wrong with it.

`raw_row` is a JSON object of the row's values, or the row's text as it stands in the object. Text whose cells
have names elsewhere (the header of a CSV file) comes with them: `raw_columns` is a JSON list of names.
"""


def staged_file(path: Path, rows: int) -> StagedFile:
    """The record of a finished file, with its checksum."""
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return StagedFile(name=path.name, rows=rows, size_bytes=path.stat().st_size, sha256=digest)
