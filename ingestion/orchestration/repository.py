"""The Dagster repository over the store: definitions are made when asked for, from what is stored at that moment."""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import dagster as dg
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph
from dagster._core.definitions.repository_definition import RepositoryData, RepositoryDefinition

from ingestion.errors import NotFound
from ingestion.orchestration.assets import asset_graph_definitions
from ingestion.orchestration.jobs import broken_job, build_job
from ingestion.orchestration.resources import WAREHOUSE_KEY, resource_keys, source_resource, warehouse_resource
from ingestion.orchestration.schedules import SUFFIX, build_schedule
from ingestion.orchestration.services import Services
from ingestion.orchestration.tags import REPOSITORY_NAME
from ingestion.store import PipelineRow

T = TypeVar("T")
logger = logging.getLogger("ingestion.repository")


@dataclass(frozen=True)
class _Version:
    """What the definitions of a pipeline are made from."""

    pipeline_id: str
    revision: int
    source_id: str
    source_version: int
    source_key: str


class _Cache(Generic[T]):
    """The last built definition per job, kept while its version is the same."""

    def __init__(self) -> None:
        self._built: dict[str, tuple[_Version, T]] = {}

    def get(self, dag_id: str, version: _Version, build: Callable[[], T]) -> T:
        known = self._built.get(dag_id)
        if known is None or known[0] != version:
            known = (version, build())
            self._built[dag_id] = known
        return known[1]


class StoreRepositoryData(RepositoryData):
    """Reads the store on each access, so a new pipeline has a job without any reload.

    A worker that asks for one job builds one job. Dagster asks from several threads, hence the lock.
    """

    def __init__(self, services: Callable[[], Services]) -> None:
        self._services = services
        self._lock = threading.RLock()
        self._jobs: _Cache[dg.JobDefinition] = _Cache()
        self._schedules: _Cache[dg.ScheduleDefinition | None] = _Cache()
        self._keys: tuple[str, Mapping[str, str]] | None = None

    def load_all_definitions(self) -> None:
        """Called by a code server at its start: makes the store usable, and builds nothing yet.

        Plain `dagster dev` has no other process that would create the store's schema.
        """
        here = self._services()
        here.settings.home_dir.mkdir(parents=True, exist_ok=True)
        if not here.store.is_current():
            here.store.migrate()

    def get_top_level_resources(self) -> Mapping[str, dg.ResourceDefinition]:
        """All sources by their keys, and the warehouse."""
        keys = self.source_keys()
        context = self._services().context
        resources: dict[str, Any] = {
            keys[source.source_id]: source_resource(source, context)
            for source in self._services().store.sources.all()
            if source.source_id in keys
        }
        resources[WAREHOUSE_KEY] = self._warehouse()
        return {key: resource.get_resource_definition() for key, resource in resources.items()}

    def get_env_vars_by_top_level_resource(self) -> Mapping[str, AbstractSet[str]]:
        """None: references are resolved by workers."""
        return {}

    def get_job_names(self) -> Sequence[str]:
        """All dag_ids."""
        return [row.pipeline.dag_id for row in self._rows()]

    def has_job(self, job_name: str) -> bool:
        """Whether a pipeline has this dag_id."""
        return self._row(job_name) is not None

    def get_all_jobs(self) -> Sequence[dg.JobDefinition]:
        """The jobs of all pipelines."""
        return [self._job(row) for row in self._rows()]

    def get_job(self, job_name: str) -> dg.JobDefinition:
        """The job of one pipeline."""
        row = self._row(job_name)
        if row is None:
            raise dg.DagsterInvariantViolationError(f"Could not find job '{job_name}': no pipeline has this dag_id")
        return self._job(row)

    def get_all_schedules(self) -> Sequence[dg.ScheduleDefinition]:
        """The schedules of all pipelines that have one."""
        built = (self._schedule(row) for row in self._rows())
        return [schedule for schedule in built if schedule is not None]

    def get_schedule(self, schedule_name: str) -> dg.ScheduleDefinition:
        """The schedule of one pipeline."""
        row = self._row(schedule_name.removesuffix(SUFFIX))
        schedule = self._schedule(row) if row else None
        if schedule is None or schedule.name != schedule_name:
            raise dg.DagsterInvariantViolationError(f"Could not find schedule '{schedule_name}'")
        return schedule

    def has_schedule(self, schedule_name: str) -> bool:
        """Whether a pipeline has this schedule."""
        row = self._row(schedule_name.removesuffix(SUFFIX))
        schedule = self._schedule(row) if row else None
        return schedule is not None and schedule.name == schedule_name

    def change_token(self) -> str:
        """Another one after each change of definitions."""
        return self._services().store.pipelines.change_token()

    def asset_graph(self) -> AssetGraph:
        """Targets, sources and checks as they are stored now."""
        rows = [row for row in self._rows() if _is_readable(row)]
        assets, checks = asset_graph_definitions(rows, self.source_keys())
        return AssetGraph.from_assets([*assets, *checks])

    def source_keys(self) -> Mapping[str, str]:
        """The resource key of each source, by source_id."""
        token = self.change_token()
        with self._lock:
            if self._keys is None or self._keys[0] != token:
                self._keys = (token, resource_keys(self._services().store.sources.names()))
            return self._keys[1]

    def _rows(self) -> Sequence[PipelineRow]:
        return self._services().store.pipelines.all()

    def _row(self, dag_id: str) -> PipelineRow | None:
        store = self._services().store
        try:
            pipeline = store.pipelines.by_dag_id(dag_id)
            return PipelineRow(pipeline, store.sources.get(pipeline.source_id))
        except NotFound:
            return None

    def _job(self, row: PipelineRow) -> dg.JobDefinition:
        version = self._version(row)
        with self._lock:
            return self._jobs.get(row.pipeline.dag_id, version, lambda: self._build_job(row, version))

    def _build_job(self, row: PipelineRow, version: _Version) -> dg.JobDefinition:
        try:
            source = source_resource(row.source, self._services().context)
            return build_job(row.pipeline, row.source, version.source_key, source, self._warehouse())
        except Exception as error:
            # One bad row must not take the whole code location with it: it shows as a job that says why.
            logger.exception("the job %s cannot be built", row.pipeline.dag_id)
            return broken_job(row.pipeline.dag_id, error)

    def _schedule(self, row: PipelineRow) -> dg.ScheduleDefinition | None:
        with self._lock:
            return self._schedules.get(row.pipeline.dag_id, self._version(row), lambda: self._build_schedule(row))

    def _build_schedule(self, row: PipelineRow) -> dg.ScheduleDefinition | None:
        try:
            return build_schedule(row.pipeline, row.source)
        except Exception:
            # The job of the same row is the broken one that people see.
            logger.exception("the schedule of %s cannot be built", row.pipeline.dag_id)
            return None

    def _version(self, row: PipelineRow) -> _Version:
        source = row.source
        return _Version(
            row.pipeline.pipeline_id,
            row.pipeline.revision,
            source.source_id,
            source.version,
            # Pipeline and source may be deleted between the two reads; the job of that row is never run.
            self.source_keys().get(source.source_id, "deleted_source"),
        )

    def _warehouse(self) -> dg.ConfigurableResource[Any]:
        return warehouse_resource(self._services().settings)


class StoreRepository(RepositoryDefinition):
    """The repository of the store. Its assets follow the store too, where the stock one keeps the first graph."""

    def __init__(self, services: Callable[[], Services]) -> None:
        self._data = StoreRepositoryData(services)
        self._graph: tuple[str, AssetGraph] | None = None
        super().__init__(
            REPOSITORY_NAME,
            repository_data=self._data,
            description="Sources, pipelines and target tables of the ingestion service, as they are stored.",
        )

    @property
    def asset_graph(self) -> AssetGraph:
        """The graph of the definitions stored now."""
        token = self._data.change_token()
        if self._graph is None or self._graph[0] != token:
            self._graph = (token, self._data.asset_graph())
        return self._graph[1]


def _is_readable(row: PipelineRow) -> bool:
    try:
        row.pipeline.settings()
    except ValueError:
        return False  # Its job is a broken one that says why.
    return True
