"""The staging of an execution as a whole: its failures, its reuse by a retry, its end."""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb

from ingestion.errors import (
    EmptySource,
    ExecutionFailure,
    QualityFailed,
    SchemaMismatch,
    TargetFailed,
    TooManyBadRecords,
)
from ingestion.settings import Settings
from ingestion.sources.base import StagedFile
from ingestion.steps.context import StepContext
from ingestion.steps.manifest import (
    EXTRACT_FOLDER,
    Manifest,
    Transformed,
    are_whole,
    read_manifest,
    staging_folder,
    write_manifest,
)
from ingestion.warehouses import open_warehouse
from ingestion.warehouses.base import TargetTable

_NO_ROOM = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOTDIR,
)
_IN_THE_ROWS = (EmptySource, QualityFailed, SchemaMismatch, TooManyBadRecords)


def folder_of(ctx: StepContext) -> Path:
    """The execution's staging folder."""
    return staging_folder(ctx.settings, ctx.execution.execution_id)


def seconds_since(started: float) -> float:
    """Seconds since a reading of time.monotonic(), to the millisecond."""
    return round(time.monotonic() - started, 3)


@contextmanager
def staging_failures(folder: Path) -> Iterator[None]:
    """A disk that is full or cannot be written becomes TargetFailed, naming the folder.

    A failure that lies in the staged rows is noted in the manifest, so that a retry reads them again.
    """
    try:
        yield
    except _IN_THE_ROWS as failure:
        _note(folder, failure)
        raise
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        raise TargetFailed(f"the staging folder {folder} cannot be written: {error}", folder=str(folder)) from error
    except duckdb.Error as error:
        raise TargetFailed(f"the work in the staging folder {folder} failed: {error}", folder=str(folder)) from error


def _note(folder: Path, failure: ExecutionFailure) -> None:
    manifest = read_manifest(folder)
    if manifest is not None:
        write_manifest(folder, manifest.model_copy(update={"spoiled_by": failure.code}))


def empty_folder(path: Path) -> Path:
    """The folder, made anew: what an interrupted attempt left in it is gone."""
    if path.exists():
        shutil.rmtree(path)
    path.mkdir(parents=True)
    return path


def adopt_staging(ctx: StepContext, from_execution_id: str) -> bool:
    """Take over what an earlier execution staged, when using it equals reading again. Whether it was.

    It is not when the definition of the pipeline or of its source, the dates or include_deleted differ, when
    anything was loaded since, when a file is not whole, or when the rows themselves were why that execution failed.
    """
    old_folder = staging_folder(ctx.settings, from_execution_id)
    old = read_manifest(old_folder)
    if old is None or old.extraction is None or old.spoiled_by or not _is_same_work(ctx, old):
        return False
    if ctx.execution.params().quarantine_replay is not None:
        return False  # Which rows are still OPEN may have changed.
    state = ctx.warehouse.state(ctx.pipeline.pipeline_id, ctx.target)
    if state.last_execution_id != old.last_execution_id:
        return False
    files = [*old.extraction.files, *old.extraction.rejects]
    if not are_whole(old_folder / EXTRACT_FOLDER, files):
        return False
    transformed = old.transformed
    if transformed is not None and not are_whole(old_folder / transformed.folder, _transformed_files(transformed)):
        transformed = None
    folder = folder_of(ctx)
    with staging_failures(folder):
        _link_files(old_folder / EXTRACT_FOLDER, empty_folder(folder / EXTRACT_FOLDER), files)
        if transformed is not None and transformed.folder != EXTRACT_FOLDER:
            copies = empty_folder(folder / transformed.folder)
            _link_files(old_folder / transformed.folder, copies, _transformed_files(transformed))
        taken_over = {
            "execution_id": ctx.execution.execution_id,
            "transformed": transformed,
            "fitted": None,
            "staged_rows": None,
            "validated": False,
        }
        write_manifest(folder, old.model_copy(update=taken_over))
    return True


def _transformed_files(transformed: Transformed) -> Sequence[StagedFile]:
    return [*transformed.files, *transformed.rejects]


def _is_same_work(ctx: StepContext, old: Manifest) -> bool:
    params = ctx.execution.params()
    return (
        old.pipeline_id == ctx.pipeline.pipeline_id
        and old.pipeline_revision == ctx.pipeline.revision
        and old.source_version == ctx.source.version
        and (old.start_date, old.end_date) == (params.start_date, params.end_date)
        and bool(old.include_deleted) == bool(params.include_deleted)
    )


def _link_files(source: Path, target: Path, files: Iterable[StagedFile]) -> None:
    for file in files:
        copy = target / file.name
        copy.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source / file.name, copy)
        except OSError:  # Another file system, or one without hard links: a copy is as good.
            shutil.copy2(source / file.name, copy)


def discard_staging(settings: Settings, execution_id: str, *, is_published: bool = False) -> None:
    """Remove everything an execution staged: its tables beside the target, then its folder.

    A publish has dropped the tables already; the dataset is left alone then, for whoever reads it now.
    """
    folder = staging_folder(settings, execution_id)
    if not folder.exists():
        return
    try:
        manifest = read_manifest(folder)
    except TargetFailed:
        manifest = None  # It cannot say where it staged; the folder goes all the same.
    if manifest is not None and not is_published:
        open_warehouse(settings).discard(execution_id, TargetTable(manifest.dataset, manifest.table))
    shutil.rmtree(folder)
