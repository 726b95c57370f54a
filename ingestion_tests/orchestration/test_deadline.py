from __future__ import annotations

import signal
import subprocess
import sys
import time

PROGRAM = """
import signal, sys, time
from ingestion.orchestration.deadline import end_within
signal.signal(signal.SIGTERM, lambda *_: None)
end_within(0.5)
print("ready", flush=True)
while True:
    time.sleep(60)
"""


def test_a_process_that_ignores_its_end_is_killed_after_the_grace() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.terminate()
        asked = time.monotonic()

        assert process.wait(timeout=20) == -signal.SIGKILL
        assert time.monotonic() - asked >= 0.4
        assert process.stderr is not None
        assert "did not end within 0.5 s" in process.stderr.read()
