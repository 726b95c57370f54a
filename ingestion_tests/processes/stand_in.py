"""A small process that behaves as it is told, in place of a part of the service.

usage: python -m ingestion_tests.processes.stand_in FOLDER NAME [BEHAVIOUR ...]

It writes FOLDER/NAME.pid when it runs, and appends "NAME start" and "NAME stop" to FOLDER/events. Behaviours:
`forks`: has a worker in a session of its own, as the launcher's are; `grandchild`: has a child in its own process
group; `stubborn`: ignores SIGTERM; `passes`: ends at once with code 0; `crashes`: ends
with code 3 after a message; `unwatched`: has no lifeline.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from ingestion.processes.lifeline import end_with_supervisor, lifeline_fd


def main(folder: Path, name: str, behaviours: list[str]) -> None:
    if "unwatched" not in behaviours:
        end_with_supervisor(grace_seconds=1.0)
    record(folder, f"{name} start")
    if "passes" in behaviours:
        sys.exit(0)
    if "crashes" in behaviours:
        print(f"{name} cannot work", file=sys.stderr, flush=True)
        sys.exit(3)
    if "stubborn" in behaviours:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        signal.signal(signal.SIGTERM, lambda *_: stop(folder, name))
    if "forks" in behaviours and os.fork() == 0:
        worker(folder, name)
    if "grandchild" in behaviours:
        sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
        write(folder / f"{name}-grandchild.pid", str(sleeper.pid))
    write(folder / f"{name}.pid", str(os.getpid()))
    while True:
        time.sleep(300)


def worker(folder: Path, name: str) -> None:
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    write(folder / f"{name}-worker.pid", str(os.getpid()))
    lifeline = lifeline_fd()
    while lifeline is not None and os.read(lifeline, 1):
        pass
    os._exit(0)


def stop(folder: Path, name: str) -> None:
    record(folder, f"{name} stop")
    sys.exit(0)


def record(folder: Path, event: str) -> None:
    with (folder / "events").open("a", encoding="utf-8") as file:
        file.write(event + "\n")


def write(path: Path, text: str) -> None:
    draft = path.with_suffix(".draft")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
