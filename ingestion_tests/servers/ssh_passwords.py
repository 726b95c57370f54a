"""An SSH server for logins with a password, which sshd only checks for accounts of the machine."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import asyncssh

from ingestion.sources.background import BackgroundLoop

USER = "reader"
PASSWORD = "correct horse"


class PasswordServer:
    """An SSH server on 127.0.0.1 that shows `folder` by SFTP to whoever knows the password.

    `by_questions` asks for it as keyboard-interactive instead. Without `has_sftp`, users log in and find nothing.
    Use it as a context manager.
    """

    def __init__(self, folder: Path, by_questions: bool = False, has_sftp: bool = True) -> None:
        self._folder = folder
        self._by_questions = by_questions
        self._has_sftp = has_sftp
        self._key = asyncssh.generate_private_key("ssh-ed25519")
        self._loop = BackgroundLoop()
        self._server: asyncssh.SSHAcceptor | None = None
        self.passwords: list[str] = []
        """Every password that was tried."""

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.get_port())

    @property
    def host_key(self) -> str:
        return self._key.export_public_key().decode().strip()

    def __enter__(self) -> Self:
        self._server = self._loop.run(self._listen())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.run(self._end())
        self._loop.close()

    async def _listen(self) -> asyncssh.SSHAcceptor:
        folder = os.fsencode(self._folder)
        options: dict[str, Any] = {}
        if self._has_sftp:
            options["sftp_factory"] = lambda channel: asyncssh.SFTPServer(channel, chroot=folder)
        return await asyncssh.listen(
            "127.0.0.1", 0, server_factory=lambda: _Logins(self), server_host_keys=[self._key], **options
        )

    async def _end(self) -> None:
        assert self._server is not None
        self._server.close()
        await asyncio.wait_for(self._server.wait_closed(), 10)

    def accepts(self, username: str, password: str) -> bool:
        """Whether these let a user in."""
        self.passwords.append(password)
        return (username, password) == (USER, PASSWORD)

    @property
    def asks_questions(self) -> bool:
        return self._by_questions


class _Logins(asyncssh.SSHServer):
    def __init__(self, server: PasswordServer) -> None:
        self._server = server
        self._username = ""

    def begin_auth(self, username: str) -> bool:
        self._username = username
        return True

    def password_auth_supported(self) -> bool:
        return not self._server.asks_questions

    def validate_password(self, username: str, password: str) -> bool:
        return self._server.accepts(username, password)

    def kbdint_auth_supported(self) -> bool:
        return self._server.asks_questions

    def get_kbdint_challenge(self, username: str, lang: str, submethods: str) -> Any:
        return "", "", "", [("Password: ", False)]

    def validate_kbdint_response(self, username: str, responses: Any) -> bool:
        return self._server.accepts(username, responses[0])
