"""Sources: defined by clients, tested and described through their connectors. All of it blocks."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from typing import Any

from api.etags import check_version
from api.merge import merged
from api.new_id import NewId
from api.wire.checking import checked, examined, read_only_problems
from api.wire.sources import ConnectionTest, SourceBody, definition_of, show_source
from ingestion import clock
from ingestion.errors import (
    AlreadyExists,
    ExecutionFailure,
    FileMissing,
    InvalidRequest,
    NotFound,
    ObjectMissing,
    ObjectNotInSource,
    PreconditionFailed,
    SourceUnreachable,
    TimedOut,
)
from ingestion.model.connections import CONNECTION_MODELS, CustomConnection
from ingestion.model.problems import Problem
from ingestion.model.source import Source, SourceStatus, SourceType
from ingestion.sources.base import ConnectionReport, Connector, ObjectDescription
from ingestion.sources.custom_problems import config_problems
from ingestion.store import Page, Store

SAMPLE_ROWS = 5
_ATTEMPTS = 5
_PAGE_SIZE = 500


class SourceService:
    """What the source endpoints do."""

    def __init__(self, store: Store, connector: Callable[[Source], Connector]) -> None:
        self._store = store
        self._connector = connector

    def create(self, body: Mapping[str, Any], by: str, validate_only: bool, new_id: NewId | None = None) -> Source:
        """Store a new source, unless it is there. Raises InvalidRequest, AlreadyExists."""
        given, definition = _checked_definition(body)
        new_id = new_id or NewId.fresh()
        at = clock.now()
        source = Source(
            source_id=new_id.value,
            name=given.name,
            source_type=given.source_type,
            connection_details=definition["connection_details"],
            schema_version=given.schema_version,
            description=given.description,
            is_active=given.is_active,
            created_at=at,
            updated_at=at,
            created_by=by,
            updated_by=by,
            status=SourceStatus.UNKNOWN if given.is_active else SourceStatus.DISCONNECTED,
            version=1,
        )
        if validate_only:
            self._refuse_taken_name(source)
            return source
        return self._added(source, new_id)

    def update(
        self, source_id: str, body: Mapping[str, Any], by: str, versions: frozenset[str] | None, validate_only: bool
    ) -> Source:
        """Merge changes into a source. Raises NotFound, PreconditionFailed, InvalidRequest, AlreadyExists."""
        for _ in range(_ATTEMPTS):
            present = self._store.sources.get(source_id)
            check_version(versions, present.version)
            changed = _changed(present, body, by)
            if validate_only:
                self._refuse_taken_name(changed)
            if validate_only or changed is present:
                return changed
            try:
                self._store.sources.update(changed, expected_version=present.version)
            except PreconditionFailed:
                continue  # Somebody else was quicker: merge into what is there now.
            return changed
        raise PreconditionFailed(f"Source system with ID '{source_id}' is being changed by others; try again")

    def delete(self, source_id: str, versions: frozenset[str] | None) -> None:
        """Remove a source. Raises NotFound, PreconditionFailed, ResourceInUse."""
        check_version(versions, self._store.sources.get(source_id).version)
        self._store.sources.delete(source_id)

    def checked_test(self, body: Mapping[str, Any]) -> ConnectionTest:
        """A request for a connection test. Raises InvalidRequest."""
        test, problems = examined(ConnectionTest, body)
        problems += _connection_problems(body)
        if test is None or problems:
            raise InvalidRequest(problems)
        return test

    def test(self, test: ConnectionTest) -> ConnectionReport:
        """Try to connect."""
        connector = self._connector(_unstored(test))
        started = time.perf_counter()
        try:
            return connector.check(test.timeout_seconds)
        except ExecutionFailure as error:
            return failed_test(started, error.code, error.message)

    def describe(self, source_id: str, object_name: str) -> ObjectDescription:
        """The schema and samples of an object; what is learnt about reaching the source is noted.

        Raises NotFound, ObjectNotInSource, SourceUnreachable.
        """
        source = self._store.sources.get(source_id)
        connector = self._connector(source)
        try:
            found = connector.describe(object_name, SAMPLE_ROWS)
        except (FileMissing, ObjectMissing) as error:
            raise ObjectNotInSource(error.message) from error
        except ExecutionFailure as error:
            self.note(source, SourceStatus.ERROR)
            raise SourceUnreachable(error.message) from error
        self.note(source, SourceStatus.CONNECTED)
        return found

    def note(self, source: Source, status: SourceStatus) -> None:
        """Remember whether an active source could be reached; an inactive one stays DISCONNECTED."""
        if source.is_active and source.status is not status:
            self._store.sources.set_status(source.source_id, status)

    def _added(self, source: Source, new_id: NewId) -> Source:
        try:
            self._store.sources.add(source)
        except AlreadyExists:
            if new_id.may_exist:
                with contextlib.suppress(NotFound):
                    return self._store.sources.get(new_id.value)
            raise
        return source

    def _refuse_taken_name(self, source: Source) -> None:
        number, seen = 1, 0
        while True:
            rows = self._store.sources.list(Page(number, _PAGE_SIZE))
            if any(row.name == source.name and row.source_id != source.source_id for row in rows.items):
                raise AlreadyExists("Source system", "name", source.name)
            number, seen = number + 1, seen + len(rows.items)
            if seen >= rows.total or not rows.items:
                return


def timed_out(started: float) -> ConnectionReport:
    """The report of a connection test that did not come to an end. `started` is of time.perf_counter."""
    seconds = time.perf_counter() - started
    return failed_test(started, TimedOut.code, f"the source did not answer within {seconds:.0f} s")


def failed_test(started: float, code: str, reason: str) -> ConnectionReport:
    """The report of a connection test that found out nothing but that it failed."""
    return ConnectionReport(
        successful=False,
        measurements={"latency_ms": round((time.perf_counter() - started) * 1000)},
        results={
            "permissions": [],
            "missing_permissions": [],
            "checks": [],
            "error_code": code,
            "reason": reason,
        },
    )


def _changed(present: Source, body: Mapping[str, Any], by: str) -> Source:
    """`present` after the update; itself when nothing changes."""
    problems = read_only_problems(body, show_source(present), SourceBody)
    if "source_type" in body and body["source_type"] != present.source_type:
        problems.append(Problem("source_type", f"cannot be changed; it is {present.source_type}"))
    if problems:
        raise InvalidRequest(problems)
    before = definition_of(present)
    writable = {name: value for name, value in body.items() if name in SourceBody.model_fields}
    given, definition = _checked_definition(merged(before, writable))
    changes = {
        "name": given.name,
        "connection_details": definition["connection_details"],
        "schema_version": given.schema_version,
        "description": given.description,
        "is_active": given.is_active,
    }
    if changes == {name: before[name] for name in changes}:
        return present
    changes |= {"updated_at": clock.now(), "updated_by": by, "status": _status_after(present, changes)}
    return present.model_copy(update={**changes, "version": present.version + 1})


def _status_after(present: Source, changes: Mapping[str, Any]) -> SourceStatus:
    """Wire decision 32."""
    if not changes["is_active"]:
        return SourceStatus.DISCONNECTED
    if not present.is_active or changes["connection_details"] != present.connection_details:
        return SourceStatus.UNKNOWN
    return present.status


def _checked_definition(body: Mapping[str, Any]) -> tuple[SourceBody, Mapping[str, Any]]:
    given, problems = examined(SourceBody, body)
    problems += _connection_problems(body)
    if problems:
        raise InvalidRequest(problems)
    return given or checked(SourceBody, body), body


def _connection_problems(body: Mapping[str, Any]) -> list[Problem]:
    """What is wrong inside `connection_details`, when the type tells how to read it."""
    source_type, details = body.get("source_type"), body.get("connection_details")
    if source_type not in tuple(SourceType) or not isinstance(details, dict):
        return []
    connection, problems = examined(CONNECTION_MODELS[SourceType(source_type)], details, "connection_details")
    if isinstance(connection, CustomConnection):
        problems += config_problems(connection, "connection_details")
    return problems


def _unstored(test: ConnectionTest) -> Source:
    at = clock.now()
    return Source(
        source_id="",
        name="",
        source_type=test.source_type,
        connection_details=test.connection_details,
        schema_version="",
        description=None,
        is_active=True,
        created_at=at,
        updated_at=at,
        created_by="",
        updated_by="",
        status=SourceStatus.UNKNOWN,
        version=1,
    )
