from __future__ import annotations

import pytest
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

from ingestion.store import Page, Store
from ingestion.store.engine import Database
from ingestion.store.rows import violated_column
from ingestion.store.tables import claims, sources
from ingestion_tests.store.samples import MOMENT, a_source


@pytest.mark.parametrize("page", [Page(2, 2), Page(10**6), Page(10**30, 100)])
def test_a_page_past_the_end_is_empty_but_counts(store: Store, page: Page) -> None:
    for number in range(2):
        store.sources.add(a_source(f"s{number}"))
    rows = store.sources.list(page)
    assert (rows.items, rows.total) == ([], 2)


def test_pages_make_up_the_list(store: Store) -> None:
    for number in range(7):
        store.sources.add(a_source(f"s{number}"))
    pages = [store.sources.list(Page(number, 3)) for number in (1, 2, 3)]
    assert [len(page.items) for page in pages] == [3, 3, 1]
    assert [source.source_id for page in pages for source in page.items] == [f"s{number}" for number in range(7)]


@pytest.mark.parametrize(
    ("changes", "column"), [({"name": "Other"}, "source_id"), ({"source_id": "s2"}, "name"), ({"name": None}, None)]
)
def test_the_violated_column_is_named(store: Store, store_url: str, changes: dict[str, str], column: str) -> None:
    store.sources.add(a_source())
    database = Database(store_url)
    with pytest.raises(IntegrityError) as caught, database.write() as connection:
        connection.execute(insert(sources).values(a_source().model_dump() | changes))
    database.close()
    assert violated_column(caught.value) == column


def test_a_missing_parent_is_no_unique_violation(store: Store, store_url: str) -> None:
    database = Database(store_url)
    with pytest.raises(IntegrityError) as caught, database.write() as connection:
        connection.execute(insert(claims).values(pipeline_id="p", execution_id="gone", claimed_at=MOMENT))
    database.close()
    assert violated_column(caught.value) is None
