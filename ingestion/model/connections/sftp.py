"""How an SFTP server is reached."""

from __future__ import annotations

import re
from typing import Self

from pydantic import Field, field_validator, model_validator

from ingestion.model.connections.base import ConnectionDetails
from ingestion.model.connections.host_key import HostKey
from ingestion.model.references import SecretReference

_NOT_IN_HOSTS = re.compile(r"[\s/@\0]")
DEFAULT_PORT = 22


class SftpConnection(ConnectionDetails):
    """An SFTP server; its host key is pinned, or any key is trusted when that is said in so many words.

    `remote_path` is the folder that file patterns start from: the login folder unless given.
    """

    host: str = Field(min_length=1)
    port: int | None = Field(default=None, ge=1, le=65535)
    username: str = Field(min_length=1)
    password_secret: SecretReference | None = None
    private_key_secret: SecretReference | None = None
    private_key_passphrase_secret: SecretReference | None = None
    host_key: str | None = Field(default=None, min_length=1)
    trust_any_host_key: bool | None = None
    remote_path: str | None = Field(default=None, min_length=1)
    file_pattern: str | None = Field(default=None, min_length=1)

    @field_validator("host")
    @classmethod
    def _is_a_host(cls, host: str) -> str:
        if _NOT_IN_HOSTS.search(host):
            raise ValueError(f"{host!r} is not a host: give the bare name or address, without sftp:// and user")
        return host

    @field_validator("host_key")
    @classmethod
    def _is_a_host_key(cls, host_key: str | None) -> str | None:
        if host_key is not None:
            HostKey.parse(host_key)
        return host_key

    @field_validator("file_pattern")
    @classmethod
    def _is_below_the_remote_path(cls, pattern: str | None) -> str | None:
        if pattern is not None and (pattern.startswith("/") or ".." in pattern.split("/")):
            raise ValueError(f"{pattern!r} has to lie below remote_path, without a leading '/' and without '..'")
        return pattern

    @model_validator(mode="after")
    def _has_one_credential(self) -> Self:
        if (self.password_secret is None) == (self.private_key_secret is None):
            raise ValueError("exactly one of password_secret and private_key_secret is needed")
        if self.private_key_passphrase_secret is not None and self.private_key_secret is None:
            raise ValueError("private_key_passphrase_secret is of use only with private_key_secret")
        return self

    @model_validator(mode="after")
    def _knows_the_server(self) -> Self:
        if (self.host_key is None) != (self.trust_any_host_key is True):
            raise ValueError(
                "exactly one of host_key (the server's pinned key) and trust_any_host_key: true is needed; "
                "without a pinned key anyone between here and the server can pose as it"
            )
        return self

    @property
    def pinned_key(self) -> HostKey | None:
        """The key the server has to show; None when any is trusted."""
        return None if self.host_key is None else HostKey.parse(self.host_key)
