from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import Column, Connection, MetaData, Table, insert, select
from sqlalchemy.exc import StatementError

from ingestion.errors import InvalidRequest
from ingestion.model.execution import TaskStatus
from ingestion.store.columns import StoredText, UtcDateTime, is_storable
from ingestion.store.engine import Database

probe = Table("probe", MetaData(), Column("text", StoredText), Column("at", UtcDateTime))


@pytest.fixture
def database(bare_url: str) -> Iterator[Database]:
    opened = Database(bare_url)
    with opened.write() as connection:
        probe.create(connection)
    yield opened
    opened.close()


def there_and_back(connection: Connection, at: datetime | None) -> datetime | None:
    connection.execute(insert(probe).values(at=at))
    found: datetime | None = connection.execute(select(probe.c.at)).scalar_one()
    return found


@pytest.mark.parametrize(
    "instant",
    [
        datetime(2023, 6, 15, 10, 30, 0, 123456, tzinfo=UTC),
        datetime(2023, 6, 15, 10, 30, tzinfo=timezone(timedelta(hours=-9, minutes=-30))),
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        None,
    ],
)
def test_an_instant_comes_back_in_utc(database: Database, instant: datetime | None) -> None:
    with database.write() as connection:
        found = there_and_back(connection, instant)
    assert found == instant
    assert found is None or found.tzinfo is UTC


def test_instants_are_in_order(database: Database) -> None:
    noon = datetime(2023, 6, 15, 12, tzinfo=UTC)
    earlier = datetime(2023, 6, 15, 13, 59, 59, tzinfo=timezone(timedelta(hours=2)))
    with database.write() as connection:
        connection.execute(insert(probe), [{"at": noon}, {"at": earlier}])
        assert list(connection.execute(select(probe.c.at).order_by(probe.c.at)).scalars()) == [earlier, noon]
        assert list(connection.execute(select(probe.c.at).where(probe.c.at >= noon)).scalars()) == [noon]


def test_an_instant_without_a_time_zone_is_refused(database: Database) -> None:
    with pytest.raises(StatementError, match="has no time zone"), database.write() as connection:
        there_and_back(connection, datetime(2023, 6, 15))


@pytest.mark.parametrize("text", ["", " ", "\x01\x7f", "Größe\n大小\U0001f4a7", "a%b_c'd\"e\\", "x" * 1_000_000])
def test_text_comes_back(database: Database, text: str) -> None:
    assert is_storable(text)
    with database.write() as connection:
        connection.execute(insert(probe).values(text=text))
        assert connection.execute(select(probe.c.text).where(probe.c.text == text)).scalar_one() == text


def test_a_member_of_an_enumeration_is_its_text(database: Database) -> None:
    with database.write() as connection:
        connection.execute(insert(probe).values(text=TaskStatus.UPSTREAM_FAILED))
        found = connection.execute(select(probe.c.text)).scalar_one()
    assert type(found) is str
    assert found == "UPSTREAM_FAILED"


@pytest.mark.parametrize("text", ["\0", "a\0b", "\ud800", "a\udfff"])
def test_what_cannot_be_stored_is_a_bad_request(database: Database, text: str) -> None:
    assert not is_storable(text)
    with pytest.raises(InvalidRequest, match="cannot be stored"), database.write() as connection:
        connection.execute(insert(probe).values(text=text))
