"""Opening dataset files: waiting, giving up, refusing."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import duckdb
import pytest

from ingestion.errors import TargetBusy, TargetFailed
from ingestion.warehouses.duckdb_file import opened

HOLD = """import duckdb, sys, time
connection = duckdb.connect(sys.argv[1])
print("held", flush=True)
time.sleep(float(sys.argv[2]))
"""


def hold(path: Path, seconds: float) -> subprocess.Popen[str]:
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(path), str(seconds)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    holder.stdout.readline()
    return holder


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new folder" / "d.duckdb"


def test_a_new_file_appears_whole(path: Path) -> None:
    with opened(path, read_only=False) as connection:
        assert connection.execute("SELECT current_setting('TimeZone')").fetchone() == ("UTC",)
    assert [found.name for found in path.parent.iterdir()] == ["d.duckdb"]


@pytest.mark.parametrize("read_only", [True, False])
def test_another_process_is_waited_for(path: Path, read_only: bool) -> None:
    with opened(path, read_only=False) as connection:
        connection.execute("CREATE TABLE t AS SELECT 1 AS a")
    with hold(path, 0.5), opened(path, read_only=read_only, wait_seconds=20) as connection:
        assert connection.execute("FROM t").fetchall() == [(1,)]


def test_the_holder_is_named_when_patience_ends(path: Path) -> None:
    with opened(path, read_only=False):
        pass
    with hold(path, 60) as holder:
        with (
            pytest.raises(TargetBusy, match=f"held by process {holder.pid}"),
            opened(path, read_only=False, wait_seconds=0.2),
        ):
            pytest.fail("opened a file that is locked")
        holder.kill()


def test_a_connection_of_the_same_process_is_waited_for(path: Path) -> None:
    with opened(path, read_only=False):
        pass
    other = duckdb.connect(str(path))
    threading.Timer(0.3, other.close).start()
    started = time.monotonic()
    with opened(path, read_only=True, wait_seconds=10) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert time.monotonic() - started >= 0.2


def test_a_reader_sees_what_a_killed_writer_had_committed(path: Path) -> None:
    with opened(path, read_only=False):
        pass
    code = (
        "import duckdb, os, signal, sys; c = duckdb.connect(sys.argv[1]); c.execute('CREATE TABLE t AS SELECT 1 AS a');"
        "c.begin(); c.execute('INSERT INTO t VALUES (2)'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    with opened(path, read_only=True) as connection:
        assert connection.execute("FROM t").fetchall() == [(1,)]


def test_what_is_no_database_is_refused(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("hello " * 5000)
    with pytest.raises(TargetFailed, match="cannot be opened"), opened(path, read_only=False):
        pytest.fail("opened a text file")


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / "d.duckdb"
    with pytest.raises(TargetFailed, match="cannot be made"), opened(path, read_only=False):
        pytest.fail("made a file below a file")


def test_a_path_that_duckdb_misreads_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TargetFailed, match=r"with '\?'"), opened(tmp_path / "a?b" / "d.duckdb", read_only=False):
        pytest.fail("opened it")
