"""What a step is given, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ingestion.model.execution import Execution
from ingestion.model.pipeline import Pipeline
from ingestion.model.quality import CheckResult
from ingestion.model.source import Source
from ingestion.settings import Settings
from ingestion.sources.base import Connector, Progress
from ingestion.warehouses.base import TargetTable, Warehouse


@dataclass(frozen=True)
class StepContext:
    """One execution of one pipeline revision, with the connector and warehouse it uses.

    `progress` is called now and then with the metrics so far and may raise to stop the step.
    """

    execution: Execution
    pipeline: Pipeline
    source: Source
    settings: Settings
    connector: Connector
    warehouse: Warehouse
    progress: Progress

    @property
    def target(self) -> TargetTable:
        """Where the pipeline loads."""
        return TargetTable(self.pipeline.target_dataset, self.pipeline.target_table)


@dataclass(frozen=True)
class StepOutcome:
    """What goes to the task's row. `skipped`: there was nothing to do."""

    metrics: Mapping[str, Any]
    params: Mapping[str, Any]
    skipped: bool = False


@dataclass(frozen=True)
class ValidationOutcome(StepOutcome):
    """The outcome of the audit, with the result of every check."""

    checks: Sequence[CheckResult] = ()
