"""How an execution ended, told from what is stored and published."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from ingestion import clock
from ingestion.model.execution import Execution, PublishState, Task
from ingestion.store import Store
from ingestion.warehouses.base import PublishResult, TargetTable, Warehouse

_TIMES = ("extraction_time_seconds", "transformation_time_seconds", "loading_time_seconds")

# What a merge or a history did to rows that were there before.
_CHANGES = ("updated", "deleted", "closed", "unchanged")


def execution_metrics(
    execution: Execution, tasks: Sequence[Task], result: PublishResult, ended_at: datetime
) -> Mapping[str, Any]:
    """The contract's four times, in seconds, and where each extracted row went.

    The total is wall time since acceptance, so it is more than the sum of its parts (wire decision 49).
    """
    times = {name: _duration(task, ended_at) for name, task in zip(_TIMES, tasks, strict=False)}
    return {
        **times,
        "total_time_seconds": round((ended_at - execution.start_time).total_seconds(), 3),
        "rows_extracted": result.extracted,
        "rows_loaded": result.loaded,
        "rows_quarantined": result.quarantined,
        "rows_deduplicated": result.deduplicated,
        "rows_filtered": result.filtered,
        **{f"rows_{name}": result.details[name] for name in _CHANGES if name in result.details},
    }


def settle_published(store: Store, warehouse: Warehouse, execution: Execution) -> bool:
    """Finish an execution as SUCCESS when the warehouse has its load record; False when nothing was published.

    Only an execution that has passed the fence can have published.
    """
    if execution.publish_state is not PublishState.CLAIMED:
        return False
    pipeline = store.pipelines.revision(execution.pipeline_id, execution.pipeline_revision)
    target = TargetTable(pipeline.target_dataset, pipeline.target_table)
    result = warehouse.published(execution.execution_id, target)
    if result is None:
        return False
    tasks = store.executions.all_tasks(execution.execution_id)
    metrics = execution_metrics(execution, tasks, result, clock.now())
    store.executions.succeed(execution.execution_id, result.loaded, metrics)
    return True


def _duration(task: Task, ended_at: datetime) -> float:
    if task.start_time is None:
        return 0.0
    return round(((task.end_time or ended_at) - task.start_time).total_seconds(), 3)
