"""Load the flights from New York in 2013 through the REST API, and look at the result.

Starts a service of its own in a temporary home, does what a client would do, checks every count, and stops the
service. The exit code is 0 only when all of that went well.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import zipfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import duckdb
from rich.console import Console
from rich.live import Live
from rich.table import Table as Grid

from examples.client import Client, Json
from examples.flights import BUCKET, DATASET, DELAYS_BY_WIND, FLIGHTS, OTHERS, Table, data_folder, fill_bucket
from examples.service import Service, stop_on_terminate

EXECUTION_LIMIT_SECONDS = 120.0
SUBJECT = "demo@example.com"
_ROW_METRICS = ("rows_loaded", "records_processed", "rows_extracted", "quality_checks_passed")
_STYLES = {"SUCCESS": "green", "RUNNING": "yellow", "FAILED": "red", "SKIPPED": "dim", "PENDING": "dim"}


class Mismatch(Exception):
    """What was loaded is not what is in the files."""


class Demo:
    """The walk through the API, step by step."""

    def __init__(self, console: Console, service: Service) -> None:
        self._console = console
        self._service = service
        self._client = Client(service.url, service.token("admin", SUBJECT))

    def run(self) -> None:
        """All steps. Raises Mismatch, ApiError or TimeoutError."""
        with self._client:
            source_id = self._register_source()
            self._show_schema(source_id)
            flights_id = self._create_pipeline(FLIGHTS, source_id)
            self._execute_flights(flights_id)
            self._load_others(source_id)
        self._query()
        self._show_addresses()

    def _title(self, text: str) -> None:
        self._console.print(f"\n[bold cyan]{text}[/]")

    def _register_source(self) -> str:
        bucket = fill_bucket(self._service.home)
        self._title(f"1. Connect to the bucket {BUCKET}")
        details = {"bucket_name": BUCKET, "file_pattern": "*.csv*"}
        report = self._client.post("/sources/test-connection", {"source_type": "GCS", "connection_details": details})
        found = report["connection_details"]
        self._console.print(
            f"   connection successful: {report['connection_successful']}, {found['available_objects']} objects, "
            f"{found['total_size_bytes']:,} bytes, {found['latency_ms']} ms"
        )
        expect("objects in the bucket", found["available_objects"], len(list(bucket.iterdir())))
        body = {
            "name": "NYC flights",
            "source_type": "GCS",
            "connection_details": details,
            "description": "Flights from the three airports of New York in 2013",
        }
        source: Json = self._client.post("/sources", body)["data"]
        self._console.print(f"   source {source['source_id']} registered by {source['created_by']}")
        return str(source["source_id"])

    def _show_schema(self, source_id: str) -> None:
        self._title(f"2. The schema of {FLIGHTS.file}")
        schema = self._client.get(f"/sources/{source_id}/schema/{FLIGHTS.file}")["data"]
        sample = schema["sample_data"][0]
        grid = Grid("field", "type", "mode", "first row")
        for field in schema["fields"]:
            grid.add_row(field["name"], field["type"], field["mode"], str(sample.get(field["name"])))
        self._console.print(grid)
        self._console.print("   Where NA stands for no value, a column is text until a pipeline says what NA means.")

    def _create_pipeline(self, table: Table, source_id: str) -> str:
        self._title("3. A pipeline, every night at two")
        pipeline: Json = self._client.post("/pipelines", table.pipeline(source_id))["data"]
        self._console.print(
            f"   pipeline {pipeline['pipeline_id']}, job {pipeline['dag_id']}, "
            f"schedule {pipeline['configuration']['schedule']!r}, target {DATASET}.{table.name}"
        )
        return str(pipeline["pipeline_id"])

    def _execute_flights(self, pipeline_id: str) -> None:
        self._title("4. Execute it now")
        asked = time.monotonic()
        execution_id = self._client.execute(pipeline_id)
        execution, tasks = self._show_progress(execution_id)
        seconds = time.monotonic() - asked
        check_success(execution, FLIGHTS)
        expect("number of tasks", len(tasks), 4)
        self._console.print(f"   {execution['records_processed']:,} records in {seconds:.1f} s, from asking to SUCCESS")
        self._title("5. Its tasks, with their metrics")
        for task in tasks:
            facts = {
                name: shown(value) for name, value in task["metrics"].items() if not isinstance(value, list | dict)
            }
            metrics = ", ".join(f"{name}={value}" for name, value in facts.items()) or "nothing to do"
            self._console.print(f"   [bold]{task['task_id']}[/] {task['status']}: {metrics}")
            for check in task["metrics"].get("checks", []):
                outcome = "passed" if check["passed"] else f"failed ({check['severity']})"
                self._console.print(f"      {check['name']}: {outcome}, {check['message']}")

    def _show_progress(self, execution_id: str) -> tuple[Json, list[Json]]:
        """Follow an execution: a live table on a terminal, one line per change elsewhere."""
        execution: Json = {}
        tasks: list[Json] = []
        seen: set[tuple[str, str]] = set()
        with ExitStack() as stack:
            live = None
            if self._console.is_terminal:
                live = stack.enter_context(Live(console=self._console, refresh_per_second=10))
            for execution, tasks in self._client.watch(execution_id, EXECUTION_LIMIT_SECONDS):
                if live:
                    live.update(progress_grid(execution, tasks))
                    continue
                for task in tasks:
                    if (line := (task["task_id"], progress_text(task))) not in seen:
                        seen.add(line)
                        self._console.print(f"   {line[0]:<22} {line[1]}")
        return execution, tasks

    def _load_others(self, source_id: str) -> None:
        self._title("6. Weather, planes and airports, all at once")
        started = []
        for table in OTHERS:
            pipeline = self._client.post("/pipelines", table.pipeline(source_id))["data"]
            started.append((table, self._client.execute(pipeline["pipeline_id"])))
        for table, execution_id in started:
            *_, (execution, _) = self._client.watch(execution_id, EXECUTION_LIMIT_SECONDS)
            check_success(execution, table)
            self._console.print(f"   {table.name}: {execution['records_processed']:,} records")

    def _query(self) -> None:
        database = self._service.home / "warehouse" / f"{DATASET}.duckdb"
        self._title(f"7. Query {database.name} with DuckDB")
        with duckdb.connect(str(database), read_only=True) as connection:
            for table in (FLIGHTS, *OTHERS):
                found = connection.execute(f'SELECT count(*) FROM main."{table.name}"').fetchall()[0][0]
                expect(f"rows of {table.name}", found, table.rows)
                self._console.print(f"   {table.name:<9} {found:>9,} rows, as many as in {table.file}")
            expect("totals of flights", flight_totals(connection, "flights"), totals_of_file(data_folder()))
            self._title("   Delay in minutes by manufacturer, with little and with much wind")
            answer = connection.execute(DELAYS_BY_WIND)
            names = [column[0] for column in answer.description or ()]
            rows = answer.fetchall()
        if not rows:
            raise Mismatch("the join of flights, planes and weather is empty")
        self._console.print(rows_grid(names, rows))

    def _show_addresses(self) -> None:
        url = self._service.url
        self._title("8. Have a look")
        for name, address in (
            ("API", self._client.base_url),
            ("API reference", f"{url}/docs"),
            ("Dagster UI", f"{url}/dagster"),
        ):
            self._console.print(f"   {name:<14} {address}")


def check_success(execution: Json, table: Table) -> None:
    """Raise Mismatch unless the execution loaded exactly the table's rows."""
    if execution["status"] != "SUCCESS":
        raise Mismatch(f"{table.name}: {execution['status']}, {execution.get('error_details')}")
    expect(f"records of {table.name}", execution["records_processed"], table.rows)


def expect(what: str, found: Any, expected: Any) -> None:
    """Raise Mismatch when two facts differ."""
    if found != expected:
        raise Mismatch(f"{what}: {found!r} instead of {expected!r}")


def flight_totals(connection: duckdb.DuckDBPyConnection, table: str) -> tuple[Any, ...]:
    """Facts about a flights table that change when a row or a value is lost."""
    query = f"SELECT count(*), sum(distance), sum(dep_delay), count(arr_delay), count(DISTINCT tailnum) FROM {table}"
    return connection.execute(query).fetchall()[0]


def totals_of_file(folder: Path) -> tuple[Any, ...]:
    """The same facts, read from the file by DuckDB alone."""
    with tempfile.TemporaryDirectory() as scratch, duckdb.connect() as connection:
        with zipfile.ZipFile(folder / FLIGHTS.file) as archive:
            path = archive.extract("flights.csv", scratch)
        return flight_totals(connection, f"read_csv('{path}', nullstr = 'NA')")


def progress_text(task: Json) -> str:
    """A task's state in one line."""
    facts = [f"{task['metrics'][name]:,} {name}" for name in _ROW_METRICS if name in task["metrics"]]
    return " ".join([task["status"], *facts[:1]])


def progress_grid(execution: Json, tasks: Sequence[Json]) -> Grid:
    """An execution's state as a table."""
    grid = Grid(
        "task", "status", "so far", title=f"{execution['dag_run_id']}: {execution['status']}", title_justify="left"
    )
    for task in tasks:
        status, _, facts = progress_text(task).partition(" ")
        grid.add_row(task["task_name"], f"[{_STYLES.get(status, 'default')}]{status}[/]", facts)
    return grid


def rows_grid(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> Grid:
    """Rows of a query as a table."""
    grid = Grid()
    for name, value in zip(names, rows[0], strict=True):
        grid.add_column(name, justify="left" if isinstance(value, str) else "right")
    for row in rows:
        grid.add_row(*map(shown, row))
    return grid


def shown(value: Any) -> str:
    """A value for people."""
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo and answer the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep-running", action="store_true", help="keep the service until Ctrl-C")
    parser.add_argument("--home", type=Path, help="use and keep this home; a temporary one otherwise")
    options = parser.parse_args(arguments)
    is_terminal = sys.stdout.isatty()
    console = Console(highlight=False, soft_wrap=not is_terminal, width=None if is_terminal else 110)
    stop_on_terminate()
    began = time.monotonic()
    with ExitStack() as stack:
        home = options.home or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ingestion-demo-")))
        console.print(f"Starting the service in {home}")
        try:
            with Service(home) as service:
                console.print(f"Ready at {service.url} after {time.monotonic() - began:.1f} s")
                Demo(console, service).run()
                if options.keep_running:
                    console.print("\nThe service keeps running; Ctrl-C stops it.")
                    service.wait()
        except KeyboardInterrupt:
            console.print("\nStopped.")
            return 0 if options.keep_running else 130
        except Exception as error:
            console.print(f"\n[bold red]The demo failed:[/] {error}")
            return 1
    console.print(f"\n[bold green]Done[/] in {time.monotonic() - began:.1f} s; the service has stopped cleanly.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
