from __future__ import annotations

from typing import Any

import MySQLdb
import pytest

from ingestion_tests.servers import mariadb as module
from ingestion_tests.servers.mariadb import PASSWORD, PASSWORD_USER, MariadbMissing, MariadbServer, find_program


def test_databases_are_separate(mariadb: MariadbServer) -> None:
    first, second = mariadb.create_database(), mariadb.create_database()
    mariadb.run("CREATE TABLE t (x INT)", database=first)
    assert mariadb.run("SHOW TABLES", database=first) == [("t",)]
    assert mariadb.run("SHOW TABLES", database=second) == []


def test_the_password_user_needs_the_password(mariadb: MariadbServer) -> None:
    opened: Any = MySQLdb.connect(host=mariadb.host, port=mariadb.port, user=PASSWORD_USER, password=PASSWORD)
    opened.close()
    with pytest.raises(MySQLdb.OperationalError, match="Access denied"):
        MySQLdb.connect(host=mariadb.host, port=mariadb.port, user=PASSWORD_USER, password="wrong")


def test_missing_programs_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(module, "_PLACES", ("/nowhere",))
    with pytest.raises(MariadbMissing, match=r"mariadbd.*install MariaDB"):
        find_program("mariadbd")
