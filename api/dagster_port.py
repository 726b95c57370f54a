"""What the API needs of Dagster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from ingestion.orchestration.dagster_api import RunView


class DagsterPort(Protocol):
    """Runs and definitions, as DagsterApi offers them over GraphQL. Errors: LaunchFailed, ServiceUnavailable."""

    async def launch(
        self, dag_id: str, params: Mapping[str, Any], tags: Mapping[str, str], parent_run_id: str | None = None
    ) -> str:
        """Start a run of a job; the run's id."""
        ...

    async def runs(self, run_ids: Sequence[str]) -> Mapping[str, RunView]:
        """Those of the runs that Dagster knows."""
        ...

    async def runs_tagged(self, execution_id: str) -> Sequence[RunView]:
        """The runs that were started for an execution."""
        ...

    async def terminate(self, run_id: str) -> bool:
        """Stop a run; False when there was nothing to stop."""
        ...

    async def reload(self) -> None:
        """Read the definitions anew."""
        ...

    async def location_error(self) -> str | None:
        """Why the definitions cannot be loaded, or None."""
        ...
