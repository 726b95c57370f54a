"""Pipelines: defined by clients, kept in the store. All of it blocks."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from api.etags import check_version
from api.merge import merged
from api.new_id import NewId
from api.services.configuration import check_configuration
from api.wire.checking import checked, read_only_problems
from api.wire.pipelines import PipelineBody, definition_of, show_pipeline
from ingestion import clock
from ingestion.errors import AlreadyExists, InvalidConfiguration, InvalidRequest, NotFound, PreconditionFailed
from ingestion.model.pipeline import Pipeline, dag_id_for
from ingestion.model.problems import Problem
from ingestion.model.source import Source
from ingestion.store import Store

_ATTEMPTS = 5


class PipelineService:
    """What the pipeline endpoints do."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def create(self, body: Mapping[str, Any], by: str, validate_only: bool, new_id: NewId | None = None) -> Pipeline:
        """Store a new pipeline, unless it is there.

        Raises InvalidRequest, NotFound for the source, InvalidConfiguration, AlreadyExists.
        """
        new_id = new_id or NewId.fresh()
        given = checked(PipelineBody, body)
        source = self._store.sources.get(given.source_id)
        check_configuration(given.configuration, source)
        at = clock.now()
        pipeline = Pipeline(
            **given.model_dump(),
            pipeline_id=new_id.value,
            dag_id=dag_id_for(source.source_type, given.target_table),
            created_at=at,
            updated_at=at,
            created_by=by,
            updated_by=by,
            revision=1,
        )
        if validate_only:
            self._refuse_taken_name(pipeline)
            return pipeline
        return self._added(pipeline, new_id)

    def update(
        self, pipeline_id: str, body: Mapping[str, Any], by: str, versions: frozenset[str] | None, validate_only: bool
    ) -> Pipeline:
        """Merge changes into a pipeline.

        Raises NotFound, PreconditionFailed, InvalidRequest, InvalidConfiguration, AlreadyExists.
        """
        for _ in range(_ATTEMPTS):
            present = self._store.pipelines.get(pipeline_id)
            check_version(versions, present.revision)
            changed = self._changed(present, body, by)
            if validate_only:
                self._refuse_taken_name(changed)
            if validate_only or changed is present:
                return changed
            try:
                self._store.pipelines.update(changed, expected_revision=present.revision)
            except PreconditionFailed:
                continue  # Somebody else was quicker: merge into what is there now.
            return changed
        raise PreconditionFailed(f"Pipeline with ID '{pipeline_id}' is being changed by others; try again")

    def delete(self, pipeline_id: str, versions: frozenset[str] | None) -> None:
        """Remove a pipeline. Raises NotFound, PreconditionFailed, AlreadyRunning."""
        check_version(versions, self._store.pipelines.get(pipeline_id).revision)
        self._store.pipelines.delete(pipeline_id)

    def _added(self, pipeline: Pipeline, new_id: NewId) -> Pipeline:
        try:
            return self._store.pipelines.add(pipeline)
        except AlreadyExists:
            if new_id.may_exist:
                with contextlib.suppress(NotFound):
                    return self._store.pipelines.get(new_id.value)
            raise

    def _changed(self, present: Pipeline, body: Mapping[str, Any], by: str) -> Pipeline:
        """`present` after the update; itself when nothing changes."""
        problems = read_only_problems(body, show_pipeline(present), PipelineBody)
        if problems:
            raise InvalidRequest(problems)
        before = definition_of(present)
        writable = {name: value for name, value in body.items() if name in PipelineBody.model_fields}
        given = checked(PipelineBody, merged(before, writable))
        changes = given.model_dump()
        if changes == before:
            return present
        source = self._store.sources.get(given.source_id)
        if given.source_id != present.source_id:
            self._refuse_other_type(present, source)
        check_configuration(given.configuration, source)
        changes |= {"updated_at": clock.now(), "updated_by": by, "revision": present.revision + 1}
        return present.model_copy(update=changes)

    def _refuse_other_type(self, present: Pipeline, new: Source) -> None:
        old = self._store.sources.get(present.source_id)
        if new.source_type is not old.source_type:
            message = f"is a {new.source_type} source; a pipeline on a {old.source_type} source cannot move to it"
            raise InvalidConfiguration([Problem("source_id", message)])

    def _refuse_taken_name(self, pipeline: Pipeline) -> None:
        for row in self._store.pipelines.all():
            is_other = row.pipeline.pipeline_id != pipeline.pipeline_id
            if is_other and row.pipeline.pipeline_name == pipeline.pipeline_name:
                raise AlreadyExists("Pipeline", "pipeline_name", pipeline.pipeline_name)
