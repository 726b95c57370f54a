"""What an execution tells Dagster's event log: the loaded table, its quality checks, why it failed."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import dagster as dg

from ingestion.errors import IngestionError
from ingestion.model.execution import Execution, Task
from ingestion.model.pipeline import Pipeline
from ingestion.model.quality import CheckResult, Severity
from ingestion.warehouses.base import PublishResult

_SHOWN_CODE = "error_code"
_NOT_IN_NAMES = re.compile("[^A-Za-z0-9_]")


def asset_key(pipeline: Pipeline) -> dg.AssetKey:
    """The asset of a pipeline's target table."""
    return dg.AssetKey([pipeline.target_dataset, pipeline.target_table])


def check_name(title: str) -> str:
    """A quality check's title as a name that Dagster allows."""
    return _NOT_IN_NAMES.sub("_", title) or "check"


def materialization(
    pipeline: Pipeline, execution: Execution, result: PublishResult, metrics: Mapping[str, Any], tasks: Sequence[Task]
) -> dg.AssetMaterialization:
    """The published load, with numbers the UI draws as plots over time."""
    metadata: dict[str, Any] = {
        "dagster/row_count": result.target_rows,
        "rows_loaded": result.loaded,
        "rows_extracted": result.extracted,
        "rows_quarantined": result.quarantined,
        "rows_deduplicated": result.deduplicated,
        "rows_filtered": result.filtered,
        **{name: float(value) for name, value in metrics.items() if name.endswith("_seconds")},
        "execution_id": execution.execution_id,
        "pipeline_revision": execution.pipeline_revision,
    }
    size = _first(tasks, "bytes_processed")
    if size is not None:
        metadata["bytes_extracted"] = int(size)
    schema = _table_schema(tasks)
    if schema is not None:
        metadata["dagster/column_schema"] = schema
    return dg.AssetMaterialization(
        asset_key=asset_key(pipeline),
        description=f"{result.loaded} rows loaded, {result.target_rows} in the table",
        metadata=metadata,
    )


def check_evaluations(pipeline: Pipeline, checks: Iterable[CheckResult]) -> Iterable[dg.AssetCheckEvaluation]:
    """The quality results as asset checks of the target table."""
    for result in checks:
        yield dg.AssetCheckEvaluation(
            asset_key=asset_key(pipeline),
            check_name=check_name(result.name),
            passed=result.passed,
            severity=dg.AssetCheckSeverity.ERROR if result.severity is Severity.ERROR else dg.AssetCheckSeverity.WARN,
            description=result.message or None,
            metadata={
                "check": result.check,
                "checked_rows": result.checked_rows,
                "failed_rows": result.failed_rows,
            },
        )


def failure(error: IngestionError) -> dg.Failure:
    """The error as the UI shows it. Dagster must not retry: the execution has ended."""
    facts = {name: str(value) for name, value in error.facts.items() if isinstance(value, (str, int, float))}
    return dg.Failure(
        description=f"{error.code}: {error.message}",
        metadata={_SHOWN_CODE: error.code, **{name: value for name, value in facts.items() if name != _SHOWN_CODE}},
        allow_retries=False,
    )


def _first(tasks: Sequence[Task], metric: str) -> Any:
    return next((task.metrics[metric] for task in tasks if metric in task.metrics), None)


def _table_schema(tasks: Sequence[Task]) -> dg.TableSchema | None:
    fields = next((task.task_params["schema_fields"] for task in tasks if task.task_params.get("schema_fields")), None)
    if fields is None:
        return None
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name=field["name"],
                type=field["type"],
                description=field.get("description") or None,
                constraints=dg.TableColumnConstraints(nullable=field.get("mode") != "REQUIRED"),
            )
            for field in fields
        ]
    )
