"""A supervisor over stand-ins: the real one, with other children.

usage: python -m ingestion_tests.processes.stand_in_supervisor FOLDER 'NAME[:AFTER][=BEHAVIOUR+...]' ...

A child whose name starts with "once" runs once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

from ingestion.processes.child import ChildSpec
from ingestion.processes.family import new_family
from ingestion.processes.lifeline import Lifeline
from ingestion.processes.signals import SignalInbox
from ingestion.processes.supervisor import Supervisor


def spec(folder: Path, text: str) -> ChildSpec:
    head, _, behaviours = text.partition("=")
    name, _, after = head.partition(":")
    argv = [sys.executable, "-m", "ingestion_tests.processes.stand_in", str(folder), name, *behaviours.split("+")]
    ready = exists(folder / f"{name}.pid")
    once = name.startswith("once")
    return ChildSpec(name, argv, ready=ready, stop_grace=1.0, after=(after,) if after else (), once=once)


def exists(path: Path) -> Callable[[], bool]:
    return path.exists


def say(text: str) -> None:
    print(text, flush=True)


def main(folder: Path, children: list[str]) -> int:
    family = new_family()
    (folder / "family").write_text(family)
    with SignalInbox() as inbox, Lifeline() as lifeline:
        return Supervisor(
            [spec(folder, text) for text in children],
            logs_dir=folder,
            environment={**os.environ, **lifeline.environment(), "INGESTION_FAMILY": family},
            family=family,
            lifeline=lifeline,
            say=say,
            when_ready=lambda: say("all ready"),
        ).run(inbox)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
