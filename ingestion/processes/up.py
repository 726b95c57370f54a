"""`ingestion up`: the whole service of one home, in the foreground.

This process imports neither Dagster nor Starlette: it is there at once, small, and has little that can break.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from ingestion import __version__
from ingestion.processes.family import FAMILY_VARIABLE, end_family, new_family
from ingestion.processes.home import HomeUnusable, prepare_home
from ingestion.processes.lifeline import Lifeline
from ingestion.processes.listener import AddressUnavailable, announce, bind, bound_settings, local_url
from ingestion.processes.lock import HomeInUse, HomeLock
from ingestion.processes.logs import last_lines, open_log
from ingestion.processes.signals import SignalInbox
from ingestion.processes.stack import command, service_specs
from ingestion.processes.supervisor import LEFTOVER_GRACE_SECONDS, STOPPED_CLEANLY, Supervisor
from ingestion.settings import Settings

CANNOT_START = 1
LOCK_FILE = "supervisor.lock"
_SHOWN_LINES = 30
_POLL_SECONDS = 0.1


def say(text: str) -> None:
    """Print one line for the person at the terminal; without a terminal any more, go on in silence."""
    try:
        print(text, flush=True)
    except OSError:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - stays open as standard output


def run_up(settings: Settings) -> int:
    """Run the service until SIGINT, SIGTERM or SIGHUP and answer the exit code.

    0 after a clean stop, 1 when it could not start, 130 when a second signal forced the stop.
    """
    started = time.monotonic()
    family = new_family()
    with ExitStack() as stack:
        inbox = stack.enter_context(SignalInbox())
        try:
            prepare_home(settings)
            lock = stack.enter_context(HomeLock(settings.home_dir, settings.sockets_dir / LOCK_FILE, family))
            if lock.previous is not None:
                _end_earlier(lock.previous.family, inbox)
            listener = stack.enter_context(bind(settings.host, settings.port))
        except (HomeUnusable, HomeInUse, AddressUnavailable) as error:
            print(f"ingestion up: {error}", file=sys.stderr, flush=True)
            return CANNOT_START
        settings = bound_settings(settings, listener)
        say(f"ingestion {__version__}, home {settings.home_dir}")
        lifeline = stack.enter_context(Lifeline())
        environment = {
            **os.environ,
            **settings.to_environment(),
            **lifeline.environment(),
            FAMILY_VARIABLE: family,
        }
        outcome = _migrate(settings, environment, lifeline, inbox)
        if outcome is not None:
            return outcome
        address = announce(settings)
        stack.callback(address.unlink, missing_ok=True)
        return Supervisor(
            service_specs(settings, listener),
            logs_dir=settings.logs_dir,
            environment=environment,
            family=family,
            lifeline=lifeline,
            say=say,
            when_ready=lambda: _show_addresses(settings, time.monotonic() - started),
            when_stopping=listener.close,
        ).run(inbox)


def _end_earlier(family: str, inbox: SignalInbox) -> None:
    """What an earlier start left when its supervisor was killed is about to end by itself; wait for that."""
    killed = end_family(family, LEFTOVER_GRACE_SECONDS, hurry=lambda: inbox.stop_requests > 0)
    if killed:
        say(f"{killed} processes of an earlier start had to be killed")


def _migrate(settings: Settings, environment: dict[str, str], lifeline: Lifeline, inbox: SignalInbox) -> int | None:
    """Bring the databases to this version's schema, in a process of its own. None when that went well."""
    log_path = settings.logs_dir / "migrate.log"
    with open_log(log_path) as log:
        process = subprocess.Popen(
            command("migrate"),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            pass_fds=(lifeline.reader,),
            start_new_session=True,
        )
    while process.poll() is None:
        if inbox.stop_requests:
            process.kill()
            process.wait()
            return STOPPED_CLEANLY
        inbox.wait(_POLL_SECONDS)
    if process.returncode == 0:
        return None
    _show_failed_migration(log_path)
    return CANNOT_START


def _show_failed_migration(log_path: Path) -> None:
    print(f"ingestion up: the databases could not be prepared; the end of {log_path}:", file=sys.stderr)
    for line in last_lines(log_path, _SHOWN_LINES):
        print(f"  | {line}", file=sys.stderr)


def _show_addresses(settings: Settings, seconds: float) -> None:
    url = local_url(settings)
    say(f"ready after {seconds:.1f} s")
    say(f"  API      {url}/api/v1/ingestion")
    say(f"  Docs     {url}/docs")
    if settings.dagster_url:
        say(f"  Dagster  {settings.dagster_url}")
    elif is_loopback(settings.host):
        say(f"  Dagster  {url}/dagster")
    else:
        say(f"  Dagster  its UI has no login and is off while the API listens on {settings.host}")
    say(f"  Token    ingestion token --home {settings.home_dir}")
    say("Ctrl-C stops it.")


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    return host in ("localhost", "::1") or host.startswith("127.")
