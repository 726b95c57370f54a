"""`python -m benchmarks.memory`: the worker's peak memory, path by path, at two sizes.

Each path runs through a whole service; the worker is watched from outside while it runs (VmHWM, so Linux only).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks import inputs
from examples.client import Client
from examples.service import Service, stop_on_terminate

RESULTS = Path(__file__).parent / "MEMORY.md"
SIZES = (1_000_000, 6_000_000)
GOAL_MB = 700
GOAL_RATIO = 1.3
LIMIT_SECONDS = 1200.0
_BUCKET = "bench"


@dataclass(frozen=True)
class Run:
    """One execution: its seconds by the API's clock, and the worker's peak in MB."""

    seconds: float
    peak_mb: float


class Peak:
    """The greatest VmHWM of all workers below the service's launcher."""

    def __init__(self, supervisor: int) -> None:
        self.kilobytes = 0
        self._supervisor = psutil.Process(supervisor)
        self._done = threading.Event()

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Look again and again, in a thread."""
        self.kilobytes = 0
        self._done.clear()
        thread = threading.Thread(target=self._look)
        thread.start()
        try:
            yield
        finally:
            self._done.set()
            thread.join()

    def _look(self) -> None:
        while not self._done.wait(0.05):
            for worker in self._workers():
                self.kilobytes = max(self.kilobytes, _peak_of(worker.pid))

    def _workers(self) -> Sequence[psutil.Process]:
        for child in self._supervisor.children():
            if "launcher" in child.cmdline():
                return child.children()
        return ()


def _peak_of(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0  # The worker has ended just now.
    found = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(found[0].split()[1]) if found else 0


def measure(kinds: Sequence[str], sizes: Sequence[int]) -> Iterator[tuple[str, int, Run]]:
    """Every path at every size."""
    with tempfile.TemporaryDirectory(prefix="ingestion-memory-") as folder, Service(Path(folder)) as service:
        client = Client(service.url, service.token("admin", "bench@example.com"))
        details = {"bucket_name": _BUCKET, "file_pattern": "*"}
        source = {"name": "files", "source_type": "GCS", "connection_details": details}
        source_id = client.post("/sources", source)["data"]["source_id"]
        peak = Peak(_supervisor_of(Path(folder)))
        for kind in kinds:
            for rows in sizes:
                name = f"{kind}_{rows}"
                path = Path(folder, "buckets", _BUCKET, f"{name}.{kind}")
                inputs.write(kind, rows, path)
                with peak.watched():
                    seconds = _execute(client, _pipeline(client, source_id, name, path.name, kind), rows)
                yield kind, rows, Run(seconds, peak.kilobytes / 1024)
                path.unlink()


def _supervisor_of(home: Path) -> int:
    import json

    return int(json.loads((home / "run" / "supervisor.lock").read_text())["pid"])


def _pipeline(client: Client, source_id: str, name: str, pattern: str, kind: str) -> str:
    extraction: dict[str, Any] = {"file_pattern": pattern}
    if kind == "txt":
        extraction |= {"file_format": "TEXT", "fields": inputs.FIXED_FIELDS}
    body = {
        "pipeline_name": name,
        "source_id": source_id,
        "target_dataset": name,
        "target_table": "lines",
        "configuration": {"extraction_params": extraction},
    }
    return str(client.post("/pipelines", body)["data"]["pipeline_id"])


def _execute(client: Client, pipeline_id: str, rows: int) -> float:
    began = time.perf_counter()
    last: Mapping[str, Any] = {}
    for execution, _ in client.watch(client.execute(pipeline_id), LIMIT_SECONDS):
        last = execution
    if last["status"] != "SUCCESS" or last["records_processed"] != rows:
        raise RuntimeError(f"not the expected end: {last}")
    return time.perf_counter() - began


def report(runs: Mapping[str, Mapping[int, Run]]) -> str:
    """The table, with what misses a goal marked."""
    lines = ["| path | rows | seconds | peak MB | against the smaller |", "|---|---|---|---|---|"]
    for kind, by_size in runs.items():
        first = next(iter(by_size.values()))
        for rows, run in by_size.items():
            ratio = run.peak_mb / first.peak_mb
            missed = " **over**" if run.peak_mb > GOAL_MB or ratio > GOAL_RATIO else ""
            lines.append(f"| {kind} | {rows:,} | {run.seconds:.1f} | {run.peak_mb:.0f}{missed} | {ratio:.2f} |")
    return (
        "# Memory\n\nWritten by `python -m benchmarks.memory`: the worker's greatest resident memory (shared pages of "
        f"the launcher included), whole executions into DuckDB. Goals: {GOAL_MB} MB, and {GOAL_RATIO} times that of "
        "the smaller size.\n\n" + "\n".join(lines) + "\n"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", default=inputs.FILE_KINDS, choices=[*inputs.FILE_KINDS, []])
    parser.add_argument("--rows", nargs="+", type=int, default=SIZES)
    parser.add_argument("--keep", action="store_true", help="print only; leave MEMORY.md as it is")
    options = parser.parse_args()
    stop_on_terminate()
    runs: dict[str, dict[int, Run]] = {}
    for kind, rows, run in measure(options.kinds, options.rows):
        runs.setdefault(kind, {})[rows] = run
        print(f"{kind} {rows:,}: {run.seconds:.1f} s, {run.peak_mb:.0f} MB", flush=True)
    text = report(runs)
    print(text)
    if not options.keep:
        RESULTS.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
