"""BigQuery: tables and queries. A query's rows are read from the table BigQuery keeps its result in.

A table that is read whole is read where it is, without a query; both are read as of one instant.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ingestion.errors import ExecutionFailure, ObjectMissing, QueryFailed, SourceAuthenticationFailed
from ingestion.formats.samples import sample_rows
from ingestion.model.connections import BigQueryConnection
from ingestion.model.extraction import BigQueryExtraction
from ingestion.sources.base import (
    ConnectionReport,
    ConnectorContext,
    Extraction,
    ExtractionRequest,
    ObjectDescription,
)
from ingestion.sources.bigquery_reading import TableReading
from ingestion.sources.bigquery_session import Session, failures, patience, session
from ingestion.sources.bigquery_window import Relation, Window, query_relation, table_relation, window_of
from ingestion.sources.checks import Checks

if TYPE_CHECKING:
    from google.cloud import bigquery


class BigQueryConnector:
    """Reads one dataset, and what its queries may reach."""

    def __init__(self, connection: BigQueryConnection, context: ConnectorContext) -> None:
        self._connection = connection
        self._context = context

    def check(self, timeout_seconds: float) -> ConnectionReport:
        """Authentication, the dataset, the right to list its tables, to read one and to run queries."""
        checks = Checks(timeout_seconds)
        measured: dict[str, Any] = {}
        try:
            with session(self._connection, self._context) as opened:
                self._take_steps(opened, checks, measured)
        except ExecutionFailure as error:
            if isinstance(error, SourceAuthenticationFailed) and not checks.outcomes:
                checks.outcomes.append({"name": "authentication", "passed": False, "message": error.message})
            return checks.report(measured, error)
        return checks.report(measured)

    def _take_steps(self, opened: Session, checks: Checks, measured: dict[str, Any]) -> None:
        connection = self._connection
        name = f"{connection.project_id}.{connection.dataset}"

        def dataset() -> Any:
            with failures(f"The dataset '{name}'"):
                return opened.client.get_dataset(name, **patience(checks.left))

        def tables() -> list[str]:
            with failures(f"The dataset '{name}'"):
                return [item.table_id for item in opened.client.list_tables(name, **patience(checks.left))]

        checks.run("dataset", dataset, lambda found: f"{name} is in {found.location}")
        checks.note("authentication", "the credentials were accepted")
        found = checks.run("list", tables, lambda listed: f"{len(listed)} tables")
        measured["available_objects"] = len(found)
        wanted = connection.table or next(iter(found), None)
        if wanted is not None:
            checks.run("read", lambda: self._probe(opened, wanted), lambda _: f"'{wanted}' can be read")
        checks.run("query", lambda: opened.statement_type("SELECT 1", ()), lambda _: "queries can be run")

    def _probe(self, opened: Session, table: str) -> None:
        relation = table_relation(opened, table)
        if relation.table is not None:
            with failures(relation.label):
                list(opened.client.list_rows(relation.table, max_results=1, **patience()))

    def describe(self, object_name: str, sample_rows_wanted: int) -> ObjectDescription:
        """The columns of a table and its first rows. Raises ObjectMissing."""
        with (
            session(self._connection, self._context) as opened,
            tempfile.TemporaryDirectory(prefix="describe-") as folder,
        ):
            relation = table_relation(opened, object_name)
            table = relation.table or _result_of(opened, relation, Window("TRUE"), None, sample_rows_wanted)
            reading = TableReading(
                opened, relation.label, table, relation.schema, Path(folder), None, lambda _: None, sample_rows_wanted
            )
            reading.read()
            rows = sample_rows(
                [Path(folder) / file.name for file in reading.files], relation.schema, sample_rows_wanted
            )
        return ObjectDescription(object_name, relation.schema, rows)

    def extract(self, request: ExtractionRequest) -> Extraction:
        """Read the table or query of the request, all of it or from its cursor on."""
        params = request.params
        assert isinstance(params, BigQueryExtraction)
        seen: dict[str, int] = {"rows_extracted": 0}
        with session(self._connection, self._context, lambda: request.progress(seen)) as opened:
            relation = self._relation(opened, params, request)
            limit = params.maximum_bytes_billed
            window = window_of(opened, relation, params, request.cursor, request.execution, limit)
            is_whole = relation.table is not None and window.conditions is None
            table = relation.table if is_whole else _result_of(opened, relation, window, limit)
            assert table is not None
            reading = TableReading(
                *(opened, relation.label, table, relation.schema, request.folder),
                *(request.execution.batch_size, request.progress),
            )
            reading.read()
        return Extraction(
            schema=relation.schema,
            files=reading.files,
            rejects=reading.rejects,
            rows=sum(file.rows for file in reading.files),
            rejected=sum(file.rows for file in reading.rejects),
            bytes_read=reading.bytes_read,
            keys=params.key_columns or relation.keys,
            cursor=window.cursor,
            read_from=window.read_from,
            task_params=self._task_params(params, reading.method, request.folder),
        )

    def _relation(self, opened: Session, params: BigQueryExtraction, request: ExtractionRequest) -> Relation:
        if params.query is not None:
            return query_relation(opened, params.query, request.interval)
        name = params.table or self._connection.table
        if name is None:
            raise QueryFailed("extraction_params must name a table or hold a query")
        return table_relation(opened, name)

    def _task_params(self, params: BigQueryExtraction, method: str, folder: Path) -> dict[str, object]:
        read = {"sql": params.query} if params.query is not None else {"table": params.table or self._connection.table}
        where = {"project_id": self._connection.project_id, "dataset": self._connection.dataset}
        return {**where, **read, "method": method, "destination": str(folder)}


def _result_of(
    opened: Session, relation: Relation, window: Window, maximum_bytes: int | None, limit: int | None = None
) -> bigquery.TableReference:
    """The table with the rows of the window."""
    conditions = f" WHERE {window.conditions}" if window.conditions else ""
    first = f" LIMIT {int(limit)}" if limit is not None else ""
    statement = f"SELECT * FROM {relation.source} AS source{conditions}{first}"
    job = opened.query(statement, [*relation.marks, *window.marks], maximum_bytes)
    destination: bigquery.TableReference | None = job.destination
    if destination is None:
        raise ObjectMissing(f"{relation.label}: BigQuery kept no result of it")
    return destination
