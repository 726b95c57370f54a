"""`ingestion up`: the whole service of one home, in the foreground.

This process imports neither Dagster nor Starlette: it is there at once, small, and has little that can break.
"""

from __future__ import annotations

import os
import shlex
import sys
import time
from contextlib import ExitStack

from ingestion import __version__
from ingestion.processes.family import FAMILY_VARIABLE, end_family, new_family
from ingestion.processes.home import HomeUnusable, prepare_home
from ingestion.processes.lifeline import Lifeline
from ingestion.processes.listener import AddressUnavailable, announce, bind, bound_settings, local_url
from ingestion.processes.lock import HomeInUse, HomeLock
from ingestion.processes.signals import SignalInbox
from ingestion.processes.stack import service_specs
from ingestion.processes.supervisor import CANNOT_START, LEFTOVER_GRACE_SECONDS, Supervisor
from ingestion.settings import Settings

LOCK_FILE = "supervisor.lock"


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
    say(f"  Token    ingestion token --home {shlex.quote(str(settings.home_dir))}")
    say("Ctrl-C stops it.")


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    return host in ("localhost", "::1") or host.startswith("127.")
