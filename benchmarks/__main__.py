"""`python -m benchmarks`: how long an execution takes, next to the least the same work could take.

Two questions, each asked several times in turn with its yardstick, so that a busy machine slows both:

- Latency: from POST .../execute of a three-row file until GET .../executions/{id} says SUCCESS.
- Throughput: the same for the 336,776 flights, next to DuckDB alone reading the very same zip into a DuckDB file.

Medians go to benchmarks/RESULTS.md.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from examples.client import Client
from examples.flights import FLIGHTS, data_folder, fill_bucket
from examples.service import Service, stop_on_terminate

RESULTS = Path(__file__).parent / "RESULTS.md"
LIMIT_SECONDS = 120.0


@dataclass
class Series:
    """Seconds of the same thing, measured several times."""

    name: str
    seconds: list[float] = field(default_factory=list)

    def measure(self, action: Callable[[], None]) -> None:
        began = time.perf_counter()
        action()
        self.seconds.append(time.perf_counter() - began)

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    def row(self, rows: int) -> str:
        spread = f"{min(self.seconds):.2f} to {max(self.seconds):.2f}"
        rate = f"{rows / self.median:,.0f}" if rows > 1000 else ""
        return f"| {self.name} | {self.median:.2f} | {spread} | {rate} |"


class Subject:
    """A running service with a small and a large pipeline."""

    def __init__(self, service: Service) -> None:
        self._client = Client(service.url, service.token("admin", "bench@example.com"))
        bucket = fill_bucket(service.home)
        (bucket / "small.csv").write_text("id,name\n1,a\n2,b\n3,c\n")
        details = {"bucket_name": bucket.name, "file_pattern": "*"}
        source = {"name": "bench", "source_type": "GCS", "connection_details": details}
        source_id = self._client.post("/sources", source)["data"]["source_id"]
        small = {
            "pipeline_name": "small",
            "source_id": source_id,
            "target_dataset": "bench",
            "target_table": "small",
            "configuration": {"extraction_params": {"file_pattern": "small.csv"}},
        }
        self._small_id = self._client.post("/pipelines", small)["data"]["pipeline_id"]
        self._large_id = self._client.post("/pipelines", FLIGHTS.pipeline(source_id))["data"]["pipeline_id"]

    def small(self) -> None:
        self._execute(self._small_id, 3)

    def large(self) -> None:
        self._execute(self._large_id, FLIGHTS.rows)

    def _execute(self, pipeline_id: str, rows: int) -> None:
        execution_id = self._client.execute(pipeline_id)
        for execution, _ in self._client.watch(execution_id, LIMIT_SECONDS):
            last = execution
        if last["status"] != "SUCCESS" or last["records_processed"] != rows:
            raise RuntimeError(f"not the expected end: {last}")


def duckdb_alone() -> None:
    """Unzip the flights and read them into a table of a new DuckDB file: no service, no checks."""
    with tempfile.TemporaryDirectory() as scratch, zipfile.ZipFile(data_folder() / FLIGHTS.file) as archive:
        path = archive.extract("flights.csv", scratch)
        with duckdb.connect(f"{scratch}/flights.duckdb") as connection:
            connection.execute(f"CREATE TABLE flights AS FROM read_csv('{path}', nullstr = 'NA')")
            found = connection.execute("SELECT count(*) FROM flights").fetchall()[0][0]
    if found != FLIGHTS.rows:
        raise RuntimeError(f"{found} rows")


def measure(repeats: int) -> Sequence[Series]:
    """The three series, interleaved, after one unmeasured round."""
    small = Series("three rows through the service")
    large = Series("flights through the service")
    alone = Series("flights by DuckDB alone")
    with tempfile.TemporaryDirectory(prefix="ingestion-bench-") as home, Service(Path(home)) as service:
        subject = Subject(service)
        rounds = ((small, subject.small), (large, subject.large), (alone, duckdb_alone))
        for _, action in rounds:
            action()
        for number in range(repeats):
            for series, action in rounds:
                series.measure(action)
            print(
                f"round {number + 1} of {repeats}: " + ", ".join(f"{s.name} {s.seconds[-1]:.2f} s" for s, _ in rounds)
            )
    return small, large, alone


def report(small: Series, large: Series, alone: Series) -> str:
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return f"""# Results

Written by `make bench` on {datetime.now(UTC):%Y-%m-%d}.
{machine}, DuckDB {duckdb.__version__}; load average at the end {load}.

Medians of {len(small.seconds)} rounds, interleaved. Seconds from asking for the execution until the API says SUCCESS.

| what | median s | range s | rows/s |
|---|---|---|---|
{small.row(3)}
{large.row(FLIGHTS.rows)}
{alone.row(FLIGHTS.rows)}

The service takes {large.median / alone.median:.1f} times as long for the flights as DuckDB alone. It starts a process,
tells the types from every value, stages and checksums Parquet, runs five checks, and publishes in one transaction.
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    stop_on_terminate()
    RESULTS.write_text(report(*measure(options.repeats)), encoding="utf-8")
    print(RESULTS.read_text(encoding="utf-8"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
