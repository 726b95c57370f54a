"""Whom the client trusts, and how it logs in."""

from __future__ import annotations

import itertools
import socket
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from ingestion.errors import (
    ConnectionFailed,
    HostKeyMismatch,
    SourceAuthenticationFailed,
    SourcePermissionDenied,
)
from ingestion_tests.servers.ssh_passwords import PASSWORD, USER, PasswordServer
from ingestion_tests.sources.sftp_site import KEY, SftpSite

OTHER = asyncssh.generate_private_key("ssh-ed25519")
OTHER_LINE = OTHER.export_public_key().decode().strip()


def listed(sftp: SftpSite, **changes: Any) -> list[str]:
    return [version.name for version in sftp.store(**changes).objects("*", 10)]


def test_every_way_to_know_the_server(sftp: SftpSite) -> None:
    sftp.server.put("a.csv", b"1")
    for known in (
        {"host_key": sftp.server.host_key},
        {"host_key": f"127.0.0.1 {sftp.server.host_key}"},
        {"host_key": sftp.server.fingerprint("host_ed25519")},
        {"host_key": sftp.server.fingerprint("host_rsa")},
        {"host_key": sftp.server.public_key("host_rsa")},
        {"host_key": None, "trust_any_host_key": True},
    ):
        assert listed(sftp, **known) == ["a.csv"], known


def test_another_key_is_a_mismatch_that_says_what_was_shown(sftp: SftpSite, tmp_path: Path) -> None:
    ed25519, rsa = sftp.server.fingerprint("host_ed25519"), sftp.server.fingerprint("host_rsa")
    with pytest.raises(HostKeyMismatch) as caught:
        listed(sftp, host_key=OTHER_LINE)
    assert caught.value.facts["shown"] == (ed25519,)
    assert ed25519 in caught.value.message
    assert OTHER.get_fingerprint() in caught.value.message
    with pytest.raises(HostKeyMismatch) as caught:
        listed(sftp, host_key=OTHER.get_fingerprint())
    assert caught.value.facts["shown"] == (ed25519, rsa)


def test_a_key_of_a_type_the_server_has_not_is_a_mismatch(sftp: SftpSite) -> None:
    ecdsa = asyncssh.generate_private_key("ecdsa-sha2-nistp256").export_public_key().decode()
    with pytest.raises(HostKeyMismatch, match=r"showed ssh-ed25519 SHA256:"):
        listed(sftp, host_key=ecdsa)


def test_a_password_is_never_sent_to_another_server(sftp: SftpSite, tmp_path: Path) -> None:
    sftp.secrets["env://PASSWORD"] = PASSWORD
    login = {"username": USER, "private_key_secret": None, "password_secret": "env://PASSWORD", "remote_path": "/"}
    with PasswordServer(tmp_path) as server:
        with pytest.raises(HostKeyMismatch):
            listed(sftp, port=server.port, **login)
        assert server.passwords == []


@pytest.mark.parametrize("by_questions", [False, True])
def test_passwords(sftp: SftpSite, tmp_path: Path, by_questions: bool) -> None:
    (tmp_path / "a.csv").write_bytes(b"1")
    sftp.secrets |= {"env://PASSWORD": PASSWORD, "env://WRONG": "battery-staple-7"}
    with PasswordServer(tmp_path, by_questions) as server:
        login: dict[str, Any] = {
            "port": server.port,
            "host_key": server.host_key,
            "private_key_secret": None,
            "remote_path": "/",
        }
        assert listed(sftp, username=USER, password_secret="env://PASSWORD", **login) == ["a.csv"]
        with pytest.raises(SourceAuthenticationFailed) as caught:
            listed(sftp, username=USER, password_secret="env://WRONG", **login)
        assert "battery-staple" not in repr(caught.value.facts) + caught.value.message
        with pytest.raises(SourceAuthenticationFailed):
            listed(sftp, username="stranger", password_secret="env://PASSWORD", **login)
        with pytest.raises(SourceAuthenticationFailed):
            listed(sftp, username=USER, **(login | {"private_key_secret": KEY}))
        sftp.close()


def test_a_server_without_sftp(sftp: SftpSite, tmp_path: Path) -> None:
    sftp.secrets["env://PASSWORD"] = PASSWORD
    with PasswordServer(tmp_path, has_sftp=False) as server:
        changes = {"port": server.port, "host_key": server.host_key, "username": USER, "private_key_secret": None}
        with pytest.raises(SourcePermissionDenied, match="SFTP"):
            listed(sftp, password_secret="env://PASSWORD", **changes)
        sftp.close()


def test_keys_that_are_not_let_in(sftp: SftpSite) -> None:
    sftp.secrets["env://OTHER"] = OTHER.export_private_key().decode()
    with pytest.raises(SourceAuthenticationFailed, match="refused the login"):
        listed(sftp, private_key_secret="env://OTHER")
    sftp.server.allow()
    with pytest.raises(SourceAuthenticationFailed, match="refused the login"):
        listed(sftp)


@pytest.mark.parametrize("form", ["openssh", "pkcs8-pem"])
def test_encrypted_keys(sftp: SftpSite, form: str) -> None:
    sftp.server.put("a.csv", b"1")
    # Few rounds of bcrypt: the usual number takes seconds on a busy machine.
    exported = sftp.server.client_key.export_private_key(
        form, passphrase="pass word", rounds=2, ignore_few_rounds=True
    ).decode()
    sftp.secrets |= {"env://LOCKED": exported, "env://RIGHT": "pass word", "env://WRONG": "hunter2"}
    right = {"private_key_secret": "env://LOCKED", "private_key_passphrase_secret": "env://RIGHT"}
    assert listed(sftp, **right) == ["a.csv"]
    with pytest.raises(SourceAuthenticationFailed, match="passphrase is wrong") as caught:
        listed(sftp, **right | {"private_key_passphrase_secret": "env://WRONG"})
    assert "hunter2" not in caught.value.message
    with pytest.raises(SourceAuthenticationFailed, match="set private_key_passphrase_secret"):
        listed(sftp, private_key_secret="env://LOCKED")


def test_a_secret_that_is_no_key(sftp: SftpSite) -> None:
    for text in ("hunter2", sftp.server.host_key, "-----BEGIN OPENSSH PRIVATE KEY-----\nhunter2\n"):
        sftp.secrets["env://TEXT"] = text
        with pytest.raises(SourceAuthenticationFailed, match="does not hold a private key") as caught:
            listed(sftp, private_key_secret="env://TEXT")
        assert "hunter2" not in caught.value.message


def test_keys_as_people_store_them(sftp: SftpSite) -> None:
    sftp.server.put("a.csv", b"1")
    text = sftp.server.private_key
    for number, stored in zip(itertools.count(), (text.strip(), text.replace("\n", "\r\n"), "\n" + text), strict=False):
        sftp.secrets["env://STORED"] = stored
        assert listed(sftp, private_key_secret="env://STORED") == ["a.csv"], number


def test_an_account_without_a_name_reads_too(sftp: SftpSite, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_account(uid: int) -> None:
        raise KeyError(uid)

    sftp.server.put("a.csv", b"1")
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "")
    monkeypatch.setattr("pwd.getpwuid", no_account)
    assert listed(sftp) == ["a.csv"]


def test_what_is_not_an_ssh_server(sftp: SftpSite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingestion.sources.sftp_store._PAUSES", ())
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with pytest.raises(ConnectionFailed, match=f"127.0.0.1:{port}"):
        listed(sftp, port=port)
