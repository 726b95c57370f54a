"""A throw-away MariaDB server that speaks TLS."""

from __future__ import annotations

import datetime as dt
import ipaddress
import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Self

import MySQLdb
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

SUPERUSER = "ingestion"
PASSWORD_USER = "reader"
PASSWORD = "correct horse"

_START_SECONDS = 60.0
_STOP_SECONDS = 20.0
_PLACES = (
    "/usr/sbin",
    "/usr/bin",
    "/usr/local/bin",
    "/opt/homebrew/opt/mariadb/bin",
    "/usr/local/opt/mariadb/bin",
)
_OPTIONS = {
    "bind-address": "127.0.0.1",
    "default-time-zone": "+05:30",  # Not UTC, so that a lost offset shows.
    "innodb-buffer-pool-size": "64M",
    "innodb-flush-log-at-trx-commit": "0",
    "innodb-log-file-size": "16M",
    "max-connections": "100",
    "character-set-server": "utf8mb4",
}


class MariadbMissing(RuntimeError):
    """The MariaDB server programs are not installed."""


class MariadbServer:
    """A MariaDB server on 127.0.0.1; use it as a context manager.

    `SUPERUSER` needs no password, `PASSWORD_USER` needs `PASSWORD`; both may do everything. `socket_path` is its
    unix socket. Its certificate is for `host`, signed by the authority in `authority_path`.
    """

    host = "127.0.0.1"

    def __init__(self) -> None:
        self._server, self._installer = find_program("mariadbd"), find_program("mariadb-install-db")
        self._folder = Path(tempfile.mkdtemp(prefix="my-"))
        self._data = self._folder / "data"
        self._process: subprocess.Popen[bytes] | None = None
        self._names = itertools.count(1)
        self.port = 0
        self.socket_path = self._folder / "s.sock"
        self.authority_path = self._folder / "ca.pem"

    def __enter__(self) -> Self:
        try:
            self._initialise()
            self.start()
            self.run(
                f"CREATE USER {SUPERUSER}@'%'",
                f"GRANT ALL ON *.* TO {SUPERUSER}@'%' WITH GRANT OPTION",
                f"CREATE USER {PASSWORD_USER}@'%' IDENTIFIED BY '{PASSWORD}'",
                f"GRANT ALL ON *.* TO {PASSWORD_USER}@'%'",
                user="root",
            )
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def connect(self, database: str = "", user: str = SUPERUSER) -> Any:
        """A connection in UTC that commits every statement and takes zero-dates."""
        connection = MySQLdb.connect(
            unix_socket=str(self.socket_path),
            user=user,
            database=database,
            autocommit=True,
            charset="utf8mb4",
            connect_timeout=5,
        )
        connection.query("SET time_zone = '+00:00', sql_mode = ''")
        return connection

    def run(self, *statements: str, database: str = "", user: str = SUPERUSER) -> list[tuple[Any, ...]]:
        """Execute the statements; the rows of the last one."""
        connection = self.connect(database, user)
        try:
            rows: list[tuple[Any, ...]] = []
            for statement in statements:
                with connection.cursor() as cursor:
                    cursor.execute(statement)
                    rows = list(cursor.fetchall())
            return rows
        finally:
            connection.close()

    def create_database(self) -> str:
        """Make an empty database of a fresh name, which is answered."""
        name = f"test_{next(self._names)}"
        self.run(f"CREATE DATABASE {name}")
        return name

    def drop_database(self, name: str) -> None:
        """Drop a database."""
        self.run(f"DROP DATABASE IF EXISTS {name}")

    def start(self, *, encrypts: bool = True) -> None:
        """Start the server, with TLS or without: on the port it had before, or on a free one."""
        self.port = self.port or _free_port()
        options = [f"--{name}={value}" for name, value in _OPTIONS.items()]
        paths = {"datadir": self._data, "socket": self.socket_path, "pid-file": self._folder / "pid"}
        certificates = {
            "ssl-ca": self.authority_path,
            "ssl-cert": self._folder / "cert.pem",
            "ssl-key": self._folder / "key.pem",
        }
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(self._server, "--no-defaults", f"--port={self.port}", *options),
                    *(f"--{name}={path}" for name, path in (paths | (certificates if encrypts else {})).items()),
                ],
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
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(_STOP_SECONDS)

    def close(self) -> None:
        """Stop the server and remove its folder."""
        self.stop()
        shutil.rmtree(self._folder)

    def _initialise(self) -> None:
        write_certificates(self._folder, self.host)
        options = _as_unprivileged()
        if options:
            for path in (self._folder, *self._folder.iterdir()):
                shutil.chown(path, options["user"], options["group"])
        done = subprocess.run(
            [
                *(self._installer, "--no-defaults", f"--datadir={self._data}", "--skip-test-db"),
                "--auth-root-authentication-method=normal",
            ],
            capture_output=True,
            text=True,
            check=False,
            cwd=self._folder,
            **options,
        )
        if done.returncode != 0:
            raise RuntimeError(f"mariadb-install-db failed: {done.stdout}{done.stderr}")

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                self.run("SELECT 1", user="root")
                return
            except MySQLdb.OperationalError as error:
                gone = self._process is None or self._process.poll() is not None
                if gone or time.monotonic() > deadline:
                    log = (self._folder / "log").read_text(errors="replace")
                    raise RuntimeError(f"MariaDB did not start: {error}\n{log}") from error
                time.sleep(0.05)


def find_program(name: str) -> str:
    """The path of a program of the server. Raises MariadbMissing."""
    found = shutil.which(name) or shutil.which(name, path=os.pathsep.join(_PLACES))
    if found is None:
        raise MariadbMissing(
            f"MariaDB's program {name} was not found on PATH nor in {', '.join(_PLACES)}; install MariaDB "
            f"(Debian: mariadb-server, Homebrew: mariadb)"
        )
    return found


def write_certificates(folder: Path, address: str) -> None:
    """An authority (ca.pem) and a certificate it signed for an IP address (cert.pem, key.pem)."""
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = _certificate("test authority", authority_key, "test authority", authority_key, None)
    certificate = _certificate("server", key, "test authority", authority_key, address)
    (folder / "ca.pem").write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
    )


def _certificate(
    subject: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    issuer_key: ec.EllipticCurvePrivateKey,
    address: str | None,
) -> x509.Certificate:
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=2))
        .add_extension(x509.BasicConstraints(ca=address is None, path_length=None), critical=True)
    )
    if address is not None:
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
        builder = builder.add_extension(names, critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _as_unprivileged() -> dict[str, Any]:
    """How to start a process that root may not run itself: as mysql, or as nobody."""
    if os.geteuid() != 0:
        return {}
    names = [entry.pw_name for entry in pwd.getpwall()]
    user = "mysql" if "mysql" in names else "nobody"
    return {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
