"""A throw-away OpenSSH server with nothing but SFTP, for users who log in with a key."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import asyncssh
import pytest

_START_SECONDS = 20.0
_STOP_SECONDS = 10.0
_PRIVILEGE_SEPARATION = Path("/run/sshd")
_CONFIG = """
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host_ed25519
HostKey {folder}/host_rsa
PidFile {folder}/pid
AuthorizedKeysFile {folder}/authorized_keys
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM {pam}
StrictModes no
MaxStartups 50:30:100
Subsystem sftp internal-sftp
"""


class SshdMissing(RuntimeError):
    """OpenSSH's server program is not installed."""


class SshServer:
    """sshd on 127.0.0.1 for the account of this process, or for `nobody` if that is root, who may read everything.

    Use it as a context manager. Files are under `files`, which is an absolute path at the server too. Root's sshd
    needs its empty folder /run/sshd.
    """

    def __init__(self) -> None:
        self.port = _free_port()
        self.username = "nobody" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        self.folder = Path(tempfile.mkdtemp(prefix="sshd-"))
        self.folder.chmod(0o755)
        self.files = self.folder / "files"
        self.files.mkdir()
        self.client_key = asyncssh.generate_private_key("ssh-ed25519")
        self._host_keys = {
            name: asyncssh.generate_private_key(kind, **options)
            for name, kind, options in _HOST_KEYS  # Smaller than usual: quick to make.
        }
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def host_key(self) -> str:
        """The server's Ed25519 key, as a source's `host_key` pins it."""
        return self.public_key("host_ed25519")

    def public_key(self, name: str) -> str:
        """One of the host keys: host_ed25519, host_rsa."""
        return self._host_keys[name].export_public_key().decode().strip()

    def fingerprint(self, name: str = "host_ed25519") -> str:
        """Its fingerprint."""
        return self._host_keys[name].get_fingerprint()

    @property
    def private_key(self) -> str:
        """The key of the user who may log in."""
        return self.client_key.export_private_key().decode()

    def put(self, name: str, data: bytes, mtime: float | None = None) -> Path:
        """Write a file below `files`; unless told otherwise, it seems a minute old."""
        path = self.files / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        at = time.time() - 60 if mtime is None else mtime
        os.utime(path, (at, at))
        return path

    def allow(self, *keys: asyncssh.SSHKey) -> None:
        """Let exactly these keys in from now on."""
        lines = [key.export_public_key().decode() for key in keys]
        (self.folder / "authorized_keys").write_text("".join(lines))

    def clear(self) -> None:
        """Remove all files, and let the usual key in."""
        shutil.rmtree(self.files)
        self.files.mkdir()
        self.allow(self.client_key)

    def __enter__(self) -> Self:
        try:
            self._configure()
            program = find_sshd()
            with (self.folder / "log").open("wb") as log:
                self._process = subprocess.Popen(
                    [program, "-D", "-e", "-f", str(self.folder / "sshd_config")], stderr=log, stdin=subprocess.DEVNULL
                )
            self._wait()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _configure(self) -> None:
        if os.geteuid() == 0:
            _PRIVILEGE_SEPARATION.mkdir(mode=0o755, exist_ok=True)
        for name, key in self._host_keys.items():
            path = self.folder / name
            path.write_bytes(key.export_private_key())
            path.chmod(0o600)
        self.allow(self.client_key)
        (self.folder / "sshd_config").write_text(_CONFIG.format(port=self.port, folder=self.folder, pam=_pam()))

    def _wait(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + _START_SECONDS
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as probe:
                probe.settimeout(1)
                if probe.recv(4) == b"SSH-":
                    return
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"sshd did not start: {(self.folder / 'log').read_text(errors='replace')}")
            time.sleep(0.05)

    def _stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(_STOP_SECONDS)
        shutil.rmtree(self.folder)


_HOST_KEYS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("host_ed25519", "ssh-ed25519", {}),
    ("host_rsa", "ssh-rsa", {"key_size": 2048}),
)


def _pam() -> str:
    """Whether accounts are PAM's business: without it, a server that is not root's takes them all for locked."""
    return "no" if os.geteuid() == 0 else "yes"


def find_sshd() -> str:
    """The path of sshd, which only runs when called by it. Raises SshdMissing."""
    found = shutil.which("sshd", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"]))
    if found is None:
        raise SshdMissing("OpenSSH's sshd was not found; install it (Debian: openssh-server)")
    return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def running_sshd() -> Iterator[SshServer]:
    """One server for the whole session."""
    with SshServer() as server:
        yield server


@pytest.fixture
def sshd(running_sshd: SshServer) -> SshServer:
    """The server without files, with the usual key let in."""
    running_sshd.clear()
    return running_sshd
