"""Sessions that can only read, and their ends."""

from __future__ import annotations

import time
from typing import Any

import pytest

from ingestion.errors import (
    ConnectionFailed,
    QueryFailed,
    SourceAuthenticationFailed,
    TimedOut,
    TlsFailed,
)
from ingestion_tests.servers.mariadb import PASSWORD_USER
from ingestion_tests.servers.tcp_proxy import TcpProxy
from ingestion_tests.sources.mysql_workbench import READER, WRONG, MysqlDatabase


def test_a_session_can_only_read_and_is_in_utc(mysql: MysqlDatabase) -> None:
    mysql.run("CREATE TABLE t (id INT)")
    with mysql.session() as opened:
        with pytest.raises(QueryFailed, match="READ ONLY"):
            opened.rows("INSERT INTO t VALUES (1)")
        assert opened.text("SELECT TIMEDIFF(NOW(), UTC_TIMESTAMP())") == "00:00:00"
        assert opened.text("SELECT @@tx_isolation") == "REPEATABLE-READ"


def test_names_and_texts_of_any_characters(mysql: MysqlDatabase) -> None:
    with mysql.session() as opened:
        text = 'it\'s \\ "🙂" %s\n\0'
        assert opened.text(f"SELECT {opened.literal(text)}") == text
        (field,) = opened.fields("SELECT 1 AS `é ``x`")
        assert field.name == "é `x"


def test_a_stream_that_is_left_does_not_fetch_the_rest(mysql: MysqlDatabase) -> None:
    with mysql.session() as opened:
        stream = opened.stream("SELECT REPEAT('x', 1000) FROM seq_1_to_100000000")
        assert len(next(iter(stream))) == 5000
        stream.close()
    deadline = time.monotonic() + 30
    while mysql.sessions():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_passwords_open_and_wrong_ones_never_show(mysql: MysqlDatabase) -> None:
    with mysql.session(**READER) as opened:
        assert opened.user == PASSWORD_USER
    with pytest.raises(SourceAuthenticationFailed) as caught, mysql.session(**WRONG):
        raise AssertionError("it let us in")
    assert "battery-staple-7" not in caught.value.message
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("sslmode", "is_encrypted"), [(None, True), ("prefer", True), ("disable", False), ("require", True)]
)
def test_encryption_is_as_asked_for(mysql: MysqlDatabase, sslmode: str | None, is_encrypted: bool) -> None:
    with mysql.session(sslmode=sslmode) as opened:
        assert opened.is_encrypted is is_encrypted


def test_the_server_is_verified_when_that_is_asked_for(mysql: MysqlDatabase) -> None:
    authority = str(mysql.server.authority_path)
    for sslmode in ("verify-ca", "verify-full"):
        with mysql.session(sslmode=sslmode, ssl_root_cert=authority) as opened:
            assert opened.is_encrypted
        for wrong in (None, __file__, "/nowhere.pem"):
            with pytest.raises(TlsFailed), mysql.session(sslmode=sslmode, ssl_root_cert=wrong):
                raise AssertionError("an unknown authority was trusted")


def test_the_unix_socket_and_localhost_lead_there(mysql: MysqlDatabase) -> None:
    given: dict[str, Any] = {"host": None, "port": None, "unix_socket": str(mysql.server.socket_path)}
    with mysql.session(**given) as opened:
        assert opened.text("SELECT 1") == "1"
    with mysql.session(host="localhost") as opened:
        assert opened.text("SELECT 1") == "1"


def test_failures_to_connect_are_told_apart(mysql: MysqlDatabase) -> None:
    with pytest.raises(ConnectionFailed), mysql.session(port=1):
        raise AssertionError("nobody listens there")
    with pytest.raises(ConnectionFailed, match="no-such-host"), mysql.session(host="no-such-host.invalid"):
        raise AssertionError("there is no such host")
    with pytest.raises(ConnectionFailed), mysql.session(host=None, port=None, unix_socket="/nowhere.sock"):
        raise AssertionError("there is no such socket")
    with TcpProxy(mysql.server.host, mysql.server.port) as proxy:
        proxy.refuse = True
        with pytest.raises(ConnectionFailed), mysql.session(port=proxy.port):
            raise AssertionError("it was refused")


def test_a_statement_has_its_time(mysql: MysqlDatabase) -> None:
    with mysql.session(0.5) as opened, pytest.raises(TimedOut):
        opened.rows("SELECT SLEEP(30)")


def test_a_server_without_encryption_is_refused_when_it_is_required(mysql: MysqlDatabase) -> None:
    mysql.server.stop()
    try:
        mysql.server.start(encrypts=False)
        for sslmode in ("require", "verify-full"):
            with pytest.raises(TlsFailed), mysql.session(sslmode=sslmode):
                raise AssertionError("it went on without encryption")
        with mysql.session(sslmode="prefer") as opened:
            assert not opened.is_encrypted
    finally:
        mysql.server.stop()
        mysql.server.start()
