"""The launcher's server without its imports and with stand-ins for its workers.

usage: python -m ingestion_tests.orchestration.stand_in_launcher SOCKET

The run id says what a worker does: `ends` at once, `waits` for SIGTERM, is `stubborn` and ignores it. The run
`unforkable` meets a system without room for another process.
"""

import errno
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from ingestion.orchestration import warm
from ingestion.orchestration.worker import RunRequest

GRACE_SECONDS = 0.3


def work(request: RunRequest, close_inherited: Callable[[], None]) -> NoReturn:
    close_inherited()
    os.setsid()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGTERM, signal.SIG_IGN if request.run_id == "stubborn" else signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM, signal.SIGINT))
    if request.run_id == "ends":
        os._exit(0)
    Path(request.log_path).touch()
    while True:
        time.sleep(60)


class StandInServer(warm.WarmServer):
    def _start(self, request: RunRequest) -> dict[str, Any]:
        if request.run_id != "unforkable":
            return super()._start(request)
        fork, os.fork = os.fork, _no_fork
        try:
            return super()._start(request)
        finally:
            os.fork = fork


def _no_fork() -> int:
    raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))


if __name__ == "__main__":
    vars(warm).update(work=work, TERMINATION_GRACE_SECONDS=GRACE_SECONDS, _EXIT_MARGIN_SECONDS=0.0)
    StandInServer(Path(sys.argv[1]), None).serve()
