"""A process that runs an execution and kills itself at a chosen point.

Arguments: home, configuration and rows as JSON, execution id, point, its parameters as JSON.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ingestion.warehouses import bookkeeping, publishing
from ingestion.warehouses.rejecting import BadRows
from ingestion.warehouses.writing import TargetWriter
from ingestion_tests.steps.workbench import Bench, RowsConnector, run_steps, table_schema

# A point is a function that is called once per publish, and whether to die before or after it.
POINTS = {
    "before the quarantine": (BadRows, "settle", "before"),
    "before the rows": (TargetWriter, "write", "before"),
    "after the rows": (TargetWriter, "write", "after"),
    "between rows and record": (bookkeeping, "record_load", "after"),
    "before the commit": (publishing, "commit", "before"),
    "after the commit": (publishing, "commit", "after"),
}
BEFORE_COMMIT = frozenset(POINTS) - {"after the commit"}


def run_killed(
    home: Path,
    configuration: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    execution_id: str,
    point: str,
    params: Mapping[str, Any] | None = None,
) -> None:
    """Run the execution in a process of its own, which does not survive `point`."""
    arguments = [str(home), json.dumps(configuration), json.dumps(list(rows)), execution_id, point, json.dumps(params)]
    command = [sys.executable, "-m", __name__, *arguments]
    finished = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert finished.returncode == -signal.SIGKILL, finished.stderr


def _die_at(point: str) -> None:
    owner, name, when = POINTS[point]
    original: Callable[..., Any] = getattr(owner, name)

    def dying(*arguments: Any) -> Any:
        if when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        original(*arguments)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(owner, name, dying)


def main() -> None:
    """Run and die."""
    home, configuration, rows, execution_id, point, params = sys.argv[1:]
    _die_at(point)
    connector = RowsConnector(table_schema(id="INTEGER", name="STRING", updated="INTEGER"), {"": json.loads(rows)})
    run_steps(Bench(Path(home), json.loads(configuration)).context(connector, execution_id, json.loads(params)))


if __name__ == "__main__":
    main()
