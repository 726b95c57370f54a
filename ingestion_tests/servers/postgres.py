"""A throw-away PostgreSQL server."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import psycopg

SUPERUSER = "ingestion"
PASSWORD_USER = "reader"
PASSWORD = "correct horse"

_START_SECONDS = 60.0
_STOP_SECONDS = 20.0
_INSTALL_PLACES = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql*/bin",
    "/usr/local/opt/postgresql*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
)
# The password role is asked for its password, everyone else is trusted.
_HBA = f"""
local all all trust
host all {PASSWORD_USER} 127.0.0.1/32 scram-sha-256
host all all 127.0.0.1/32 trust
"""
_OPTIONS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "listen_addresses": "127.0.0.1",
    "max_connections": "200",
    "shared_buffers": "32MB",
    "timezone": "Asia/Kolkata",  # Not UTC, so that a lost offset shows.
}


class PostgresMissing(RuntimeError):
    """The PostgreSQL server programs are not installed."""


class PostgresServer:
    """A PostgreSQL server on 127.0.0.1; use it as a context manager.

    `SUPERUSER` needs no password, `PASSWORD_USER` needs `PASSWORD`. `socket_dir` holds its unix socket.
    It speaks TLS when it is given a certificate with its private key, as PEM texts.
    """

    host = "127.0.0.1"

    def __init__(self, certificate: bytes | None = None, private_key: bytes | None = None) -> None:
        self._tls = (certificate, private_key)
        self._bin = find_programs()
        self._folder = Path(tempfile.mkdtemp(prefix="pg-"))
        self._data = self._folder / "data"
        self._process: subprocess.Popen[bytes] | None = None
        self._names = itertools.count(1)
        self.port = 0

    @property
    def socket_dir(self) -> Path:
        """The folder of the server's unix socket."""
        return self._folder

    def __enter__(self) -> Self:
        try:
            self._initialise()
            self.start()
            self._execute(f"CREATE ROLE {PASSWORD_USER} LOGIN SUPERUSER PASSWORD '{PASSWORD}'")
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def url(self, database: str = "postgres", user: str = SUPERUSER) -> str:
        """The address of a database, as `postgresql://...`."""
        return f"postgresql://{user}@{self.host}:{self.port}/{database}"

    def create_database(self, name: str | None = None) -> str:
        """Make an empty database, of a fresh name unless one is given, and answer its address."""
        name = name or f"test_{next(self._names)}"
        self._execute(f'CREATE DATABASE "{name}"')
        return self.url(name)

    def drop_database(self, url: str) -> None:
        """Drop a database by its address, connections to it included."""
        self._execute(f'DROP DATABASE IF EXISTS "{url.rsplit("/", 1)[1]}" WITH (FORCE)')

    def start(self) -> None:
        """Start the server: on the port it had before, or on a free one."""
        self.port = self.port or _free_port()
        options = [f"-c{name}={value}" for name, value in (_OPTIONS | self._tls_options()).items()]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._bin / "postgres", "-D", self._data, "-p", str(self.port), "-k", self._folder, *options],
                stdout=log,
                stderr=log,
                cwd=self._folder,
                **_as_unprivileged(),
            )
        self._wait_until_it_answers()

    def stop(self) -> None:
        """Stop the server, cutting its connections; `start` brings it back with its data."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGINT)  # PostgreSQL's "fast shutdown".
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGQUIT)
            process.wait(_STOP_SECONDS)

    def close(self) -> None:
        """Stop the server and remove its folder."""
        self.stop()
        shutil.rmtree(self._folder)

    def _initialise(self) -> None:
        options = _as_unprivileged()
        if options:
            shutil.chown(self._folder, options["user"], options["group"])
        done = subprocess.run(
            [
                *(self._bin / "initdb", "-D", self._data, "-U", SUPERUSER, "-A", "trust"),
                *("--no-sync", "--encoding=UTF8", "--locale=C"),
            ],
            capture_output=True,
            text=True,
            check=False,
            cwd=self._folder,
            **options,
        )
        if done.returncode != 0:
            raise RuntimeError(f"initdb failed: {done.stderr}")
        (self._data / "pg_hba.conf").write_text(_HBA)

    def _tls_options(self) -> dict[str, str]:
        certificate, private_key = self._tls
        if certificate is None or private_key is None:
            return {}
        owner = _as_unprivileged()
        for name, content in (("server.crt", certificate), ("server.key", private_key)):
            path = self._folder / name
            path.write_bytes(content)
            path.chmod(0o600)  # PostgreSQL takes no other.
            if owner:
                shutil.chown(path, owner["user"], owner["group"])
        return {
            "ssl": "on",
            "ssl_cert_file": str(self._folder / "server.crt"),
            "ssl_key_file": str(self._folder / "server.key"),
        }

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                self._execute("SELECT 1")
                return
            except psycopg.OperationalError as error:
                gone = self._process is None or self._process.poll() is not None
                if gone or time.monotonic() > deadline:
                    log = (self._folder / "log").read_text(errors="replace")
                    raise RuntimeError(f"PostgreSQL did not start: {error}\n{log}") from error
                time.sleep(0.05)

    def _execute(self, statement: str) -> None:
        with psycopg.connect(self.url(), autocommit=True, connect_timeout=5) as connection:
            connection.execute(statement.encode())


def find_programs() -> Path:
    """The folder of `postgres` and `initdb`, the newest of several. Raises PostgresMissing."""
    on_path = shutil.which("postgres")
    folders = [Path(on_path).resolve().parent, Path(on_path).parent] if on_path else []
    for folder in [*folders, *_installed()]:
        if (folder / "postgres").exists() and (folder / "initdb").exists():
            return folder
    raise PostgresMissing(
        "PostgreSQL's server programs (postgres, initdb) were not found on PATH nor in "
        + ", ".join(_INSTALL_PLACES)
        + "; install PostgreSQL (Debian: postgresql, Homebrew: postgresql@17)"
    )


def _installed() -> Iterator[Path]:
    root = Path("/")
    for place in _INSTALL_PLACES:
        yield from sorted(root.glob(place.lstrip("/")), key=_version, reverse=True)


def _version(folder: Path) -> list[int]:
    digits = "".join(letter if letter.isdigit() else " " for letter in str(folder))
    return [int(number) for number in digits.split()]


def _as_unprivileged() -> dict[str, Any]:
    """How to start a process that root may not run itself: as postgres, or as nobody."""
    if os.geteuid() != 0:
        return {}
    names = [entry.pw_name for entry in pwd.getpwall()]
    user = "postgres" if "postgres" in names else "nobody"
    group = pwd.getpwnam(user).pw_gid
    return {"user": user, "group": group, "extra_groups": []}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
