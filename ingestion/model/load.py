"""`load_params`: how the rows meet the target table."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import Field

from ingestion.model.base import StrictModel


class WriteDisposition(StrEnum):
    """How the staged rows meet the target table."""

    WRITE_TRUNCATE = "WRITE_TRUNCATE"
    WRITE_APPEND = "WRITE_APPEND"
    WRITE_EMPTY = "WRITE_EMPTY"
    MERGE = "MERGE"


class LoadParams(StrictModel):
    """`load_params`."""

    write_disposition: WriteDisposition | None = None
    merge_key: str | tuple[str, ...] | None = None
    max_bad_records: int | None = Field(default=None, ge=0)
    empty_source: Literal["fail", "allow"] | None = None
