"""What the steps of one execution know from each other: `manifest.json` in its staging folder.

Each step may run in a process of its own, so every fact that a later one needs is in here. The file is
replaced whole, never half.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from datetime import date
from pathlib import Path

from pydantic import ValidationError

from ingestion.errors import TargetFailed
from ingestion.model.base import StrictModel
from ingestion.model.schema import TableSchema
from ingestion.settings import Settings
from ingestion.sources.base import Cursor, Extraction, StagedFile

_NAME = "manifest.json"
EXTRACT_FOLDER = "extract"
TRANSFORM_FOLDER = "transform"
FIT_FOLDER = "fit"


class Transformed(StrictModel):
    """The rows after the transform step, or after they were fitted to the target. Files of a skipped one are those
    of the step before.

    Rows before = rows + rejected here + filtered + deduplicated. `rejects` has this step's rejects only.
    """

    table_schema: TableSchema
    folder: str
    files: tuple[StagedFile, ...]
    rows: int
    rejects: tuple[StagedFile, ...] = ()
    rejected: int = 0
    filtered: int = 0
    deduplicated: int = 0
    skipped: bool = False


class LaterRows(StrictModel):
    """Quarantined rows of a replay that had been transformed before: NDJSON in `file`, (line, record id) of each."""

    file: str
    records: tuple[tuple[int, str], ...]


class Manifest(StrictModel):
    """Facts of one execution, growing step by step.

    `cursor` is the one the extraction started from, `target_schema` and `last_execution_id` what the
    target was then. `spoiled_by` is the error code of a failure that lies in the staged rows
    themselves: reading them again may help, using them again cannot.
    """

    execution_id: str
    pipeline_id: str
    pipeline_revision: int
    source_version: int | None = None
    dataset: str
    table: str
    start_date: date | None
    end_date: date | None
    include_deleted: bool | None
    cursor: Cursor | None = None
    target_schema: TableSchema | None = None
    last_execution_id: str | None = None
    extraction: Extraction | None = None
    later: LaterRows | None = None
    transformed: Transformed | None = None
    fitted: Transformed | None = None
    staged_rows: int | None = None
    validated: bool = False
    spoiled_by: str | None = None

    def extracted(self) -> Extraction:
        """The extraction. Raises TargetFailed when its step has not finished."""
        if self.extraction is None:
            raise TargetFailed(f"the execution {self.execution_id} has not extracted anything yet")
        return self.extraction

    def transformation(self) -> Transformed:
        """What the transform step left. Raises TargetFailed when it has not finished."""
        if self.transformed is None:
            raise TargetFailed(f"the execution {self.execution_id} has not been transformed yet")
        return self.transformed

    def fitting(self) -> Transformed:
        """The rows as they are staged. Raises TargetFailed when the load step has not fitted them."""
        if self.fitted is None:
            raise TargetFailed(f"the execution {self.execution_id} has not been loaded yet")
        return self.fitted

    @property
    def rows_read(self) -> int:
        """Rows taken from the source, bad ones included."""
        return self.rows_taken + self.extracted().rejected

    @property
    def rows_taken(self) -> int:
        """Rows that could be read."""
        return self.extracted().rows + (len(self.later.records) if self.later else 0)


def staging_folder(settings: Settings, execution_id: str) -> Path:
    """The execution's own folder."""
    if execution_id in ("", ".", "..") or Path(execution_id).name != execution_id:
        raise TargetFailed(f"{execution_id!r} cannot name a staging folder")
    return settings.staging_dir / execution_id


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest in the folder, or None when there is none. Raises TargetFailed when it is not one."""
    try:
        text = (folder / _NAME).read_text("utf-8")
    except FileNotFoundError:
        return None
    try:
        return Manifest.model_validate_json(text)
    except ValidationError as error:
        raise TargetFailed(f"{folder / _NAME} is not a manifest: {error}", folder=str(folder)) from error


def require_manifest(folder: Path) -> Manifest:
    """The manifest in the folder. Raises TargetFailed when there is none."""
    manifest = read_manifest(folder)
    if manifest is None:
        raise TargetFailed(f"nothing is staged in {folder}", folder=str(folder))
    return manifest


def write_manifest(folder: Path, manifest: Manifest) -> Manifest:
    """Replace the manifest in one step that survives a power cut."""
    folder.mkdir(parents=True, exist_ok=True)
    fresh = folder / f".{_NAME}.{os.getpid()}"
    try:
        with fresh.open("w", encoding="utf-8") as stream:
            stream.write(manifest.model_dump_json(indent=1))
            stream.flush()
            os.fsync(stream.fileno())
        fresh.replace(folder / _NAME)
    finally:
        fresh.unlink(missing_ok=True)
    _sync_folder(folder)
    return manifest


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def are_whole(folder: Path, files: Iterable[StagedFile]) -> bool:
    """Whether every file is there with the bytes it was finished with."""
    return all(_is_whole(folder / file.name, file) for file in files)


def _is_whole(path: Path, file: StagedFile) -> bool:
    if not path.is_file() or path.stat().st_size != file.size_bytes:
        return False
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest() == file.sha256
