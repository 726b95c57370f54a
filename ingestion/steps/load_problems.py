"""What is wrong with `load_params`, as far as it shows before anything is read."""

from __future__ import annotations

from collections.abc import Iterable

from ingestion.model.extraction import ExtractionParams, FileExtraction, as_columns
from ingestion.model.load import HistoryColumns, LoadParams, WriteDisposition
from ingestion.model.pipeline import PipelineConfiguration, TransformationParams
from ingestion.model.problems import Problem
from ingestion.steps.plan import disposition


def load_problems_in(
    configuration: PipelineConfiguration, extraction: ExtractionParams, prefix: str = "configuration"
) -> list[Problem]:
    """What can be known to be wrong when a pipeline is saved."""
    load = configuration.load_params or LoadParams()
    chosen = disposition(configuration, extraction)
    where = f"{prefix}.load_params"
    return [
        *_key_problems(load, chosen, extraction, where),
        *_history_problems(load, chosen, extraction, where),
        *_layout_problems(load, where),
        *_column_problems(configuration, load, chosen, extraction, prefix),
        *_file_problems(chosen, extraction, prefix),
    ]


def _key_problems(
    load: LoadParams, chosen: WriteDisposition, extraction: ExtractionParams, where: str
) -> Iterable[Problem]:
    if chosen.needs_key and load.merge_key is None and not extraction.key_columns and not extraction.may_know_keys:
        yield Problem(f"{where}.merge_key", f"is needed to {_verb(chosen)}: nothing else tells which rows are the same")


def _verb(chosen: WriteDisposition) -> str:
    return "MERGE" if chosen is WriteDisposition.MERGE else "keep an SCD2 history"


def _history_problems(
    load: LoadParams, chosen: WriteDisposition, extraction: ExtractionParams, where: str
) -> Iterable[Problem]:
    if chosen is not WriteDisposition.SCD2:
        for name in ("history_columns", "close_absent"):
            if getattr(load, name) is not None:
                yield Problem(f"{where}.{name}", "has a meaning for write_disposition SCD2 only")
    elif load.close_absent and (extraction.cursor_column is not None or extraction.only_new):
        message = (
            "needs a read of all rows: with an incremental_key or only_new_files, rows that are not read are there"
        )
        yield Problem(f"{where}.close_absent", message)


def _layout_problems(load: LoadParams, where: str) -> Iterable[Problem]:
    if load.partition_type is not None and load.partition_field is None:
        yield Problem(f"{where}.partition_field", "is needed for partition_type: it names the column that is divided")
    names = [name.lower() for name in load.clustering_fields or ()]
    if len(set(names)) != len(names):
        yield Problem(f"{where}.clustering_fields", "names a column twice (case does not count)")


def _column_problems(
    configuration: PipelineConfiguration,
    load: LoadParams,
    chosen: WriteDisposition,
    extraction: ExtractionParams,
    prefix: str,
) -> Iterable[Problem]:
    changes = configuration.transformation_params or TransformationParams()
    dropped = {name.lower() for name in changes.drop or ()}
    needed = {
        "load_params.merge_key": as_columns(load.merge_key),
        "load_params.partition_field": as_columns(load.partition_field),
        "load_params.clustering_fields": load.clustering_fields or (),
        "extraction_params.deleted_column": as_columns(_renamed(changes, extraction.deletion_mark)),
    }
    for part, names in needed.items():
        for name in names:
            if name.lower() in dropped:
                yield Problem(f"{prefix}.transformation_params.drop", f"drops {name!r}, which {part} needs")
    if chosen is WriteDisposition.SCD2:
        made = {
            name.lower() for name in (*(changes.column_mappings or {}).values(), *(changes.calculated_fields or {}))
        }
        for name in (load.history_columns or HistoryColumns()).names:
            if name.lower() in made:
                yield Problem(
                    f"{prefix}.load_params.history_columns", f"{name!r} is a column of the rows already; choose another"
                )


def _renamed(changes: TransformationParams, name: str | None) -> str | None:
    mapped = {old.lower(): new for old, new in (changes.column_mappings or {}).items()}
    return None if name is None else mapped.get(name.lower(), name)


def _file_problems(chosen: WriteDisposition, extraction: ExtractionParams, prefix: str) -> Iterable[Problem]:
    is_false = isinstance(extraction, FileExtraction) and extraction.only_new_files is False
    if is_false and chosen is WriteDisposition.WRITE_APPEND:
        message = "an append reads only new files; force_execution reads all of them once"
        yield Problem(f"{prefix}.extraction_params.only_new_files", message)
