"""Starts processes, restarts those that end, stops all of them in order, and leaves nothing behind."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ingestion.processes.child import Child, ChildSpec, describe_exit
from ingestion.processes.family import end_family
from ingestion.processes.lifeline import Lifeline
from ingestion.processes.logs import last_lines
from ingestion.processes.signals import SignalInbox

STOPPED_CLEANLY = 0
CANNOT_START = 1
STOPPED_BY_FORCE = 130
LEFTOVER_GRACE_SECONDS = 15.0
"""How long processes that outlived their parent (run workers) may take to end before they are killed."""

_PROBE_SECONDS = 0.1
_IDLE_SECONDS = 1.0
_CRASH_LOOP = 3
_SHOWN_LINES = 15

Say = Callable[[str], None]


class Supervisor:
    """Runs children until SIGINT, SIGTERM or SIGHUP, or until one that has to succeed once does not.

    They start in the given order, each once those it comes `after` are ready, and stop in the reverse order. A second
    signal kills everything at once.
    """

    def __init__(
        self,
        specs: Sequence[ChildSpec],
        *,
        logs_dir: Path,
        environment: Mapping[str, str],
        family: str,
        lifeline: Lifeline,
        say: Say,
        when_ready: Callable[[], None] = lambda: None,
        when_stopping: Callable[[], None] = lambda: None,
    ) -> None:
        self._children = {spec.name: Child(spec, logs_dir / f"{spec.name}.log") for spec in specs}
        self._environment = environment
        self._family = family
        self._lifeline = lifeline
        self._say = say
        self._when_ready = when_ready
        self._when_stopping = when_stopping
        self._was_ready = False
        self._failed: Child | None = None

    def run(self, inbox: SignalInbox) -> int:
        """Block until told to stop; no child is left when this returns. Answers the exit code."""
        try:
            while not inbox.stop_requests and self._failed is None:
                self._advance()
                inbox.wait(self._pause())
            self._say("stopping")
            self._when_stopping()
            by_force = self._stop_in_order(inbox)
        finally:
            self._leave_nothing_behind(inbox)
        if by_force:
            return STOPPED_BY_FORCE
        return STOPPED_CLEANLY if self._failed is None else CANNOT_START

    # --- running --------------------------------------------------------------------------------

    def _advance(self) -> None:
        for child in self._children.values():
            if child.is_done:
                continue
            if child.pid is None:
                self._start_when_due(child)
            else:
                self._look_after(child)
        if not self._was_ready and all(child.is_ready for child in self._children.values()):
            self._was_ready = True
            self._when_ready()

    def _start_when_due(self, child: Child) -> None:
        due = time.monotonic() >= child.start_at
        if due and all(self._children[name].is_ready for name in child.spec.after):
            child.start(self._environment, (self._lifeline.reader,))

    def _look_after(self, child: Child) -> None:
        code = child.exit_code()
        if code is not None and child.spec.once:
            self._end_once(child, code)
        elif code is not None:
            self._plan_restart(child, code)
        elif child.check_ready():
            child.forgive()

    def _end_once(self, child: Child, code: int) -> None:
        if code == 0:
            child.finish()
            return
        self._failed = child
        self._say(f"{child.name} {describe_exit(code)}; the end of {child.log_path}:")
        self._show_log(child)

    def _plan_restart(self, child: Child, code: int) -> None:
        wait = child.backoff.next()
        child.start_at = time.monotonic() + wait
        self._say(f"{child.name} {describe_exit(code)}; starting it again in {wait:.1f} s, log: {child.log_path}")
        if child.backoff.failures % _CRASH_LOOP == 0:
            self._say(f"{child.name} has ended {child.backoff.failures} times in a row; the last lines of its log:")
            self._show_log(child)

    def _show_log(self, child: Child) -> None:
        for line in last_lines(child.log_path, _SHOWN_LINES):
            self._say(f"  | {line}")

    def _pause(self) -> float:
        settled = all(child.is_ready for child in self._children.values())
        return _IDLE_SECONDS if settled else _PROBE_SECONDS

    # --- stopping -------------------------------------------------------------------------------

    def _stop_in_order(self, inbox: SignalInbox) -> bool:
        """Stop the children one after the other; True when a second signal cut that short."""
        first_signals = inbox.stop_requests
        return not all(self._stop(child, inbox, first_signals) for child in reversed(self._children.values()))

    def _stop(self, child: Child, inbox: SignalInbox, first_signals: int) -> bool:
        child.terminate()
        deadline = time.monotonic() + child.spec.stop_grace
        while child.pid is not None and child.exit_code() is None:
            if inbox.stop_requests > first_signals:
                return False
            if time.monotonic() >= deadline:
                self._say(f"{child.name} did not end within {child.spec.stop_grace:g} s and is killed")
                child.kill()
                deadline = time.monotonic() + child.spec.stop_grace
            inbox.wait(_PROBE_SECONDS)
        return True

    def _leave_nothing_behind(self, inbox: SignalInbox) -> None:
        """Whatever is still there now, is not by the time this returns."""
        self._lifeline.cut()
        for child in self._children.values():
            child.kill()
        interrupted = any(child.pid is not None for child in self._children.values())
        grace = 0.0 if interrupted else LEFTOVER_GRACE_SECONDS
        killed = end_family(self._family, grace, hurry=lambda: inbox.stop_requests > 1)
        for child in self._children.values():
            while child.pid is not None and child.exit_code() is None:
                time.sleep(_PROBE_SECONDS)
        if killed:
            self._say(f"{killed} processes had to be killed")
