from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from ingestion.errors import AlreadyExists, InvalidRequest, NotFound, PreconditionFailed, ResourceInUse
from ingestion.model.source import SourceStatus, SourceType
from ingestion.store import Page, Store
from ingestion_tests.store.samples import MOMENT, a_pipeline, a_source, seconds


def test_a_source_reads_back_as_it_was_added(store: Store) -> None:
    source = a_source(
        description="Größe, 大小, \U0001f4a7", connection_details={"z": 1.0, "a": {"y": [None], "b": "\0"}}
    )
    store.sources.add(source)
    stored = store.sources.get("s1")
    assert stored == source
    assert json.dumps(stored.connection_details) == json.dumps(source.connection_details)


@pytest.mark.parametrize("source_id", ["unknown", "", "a\0b", "\ud800", "x" * 100_000, "s1 ", "S1", "%"])
def test_an_unknown_id_is_not_found(store: Store, source_id: str) -> None:
    store.sources.add(a_source())
    with pytest.raises(NotFound, match=r"^Source system with ID '") as caught:
        store.sources.get(source_id)
    assert caught.value.facts["entity_id"] == source_id


def test_a_name_is_taken_once(store: Store) -> None:
    store.sources.add(a_source(name="Sales"))
    with pytest.raises(AlreadyExists, match=r"^Source system with name 'Sales' already exists$"):
        store.sources.add(a_source("s2", name="Sales"))
    store.sources.add(a_source("s3", name="sales"))
    assert store.sources.list(Page()).total == 2


def test_an_id_is_taken_once(store: Store) -> None:
    store.sources.add(a_source(name="Sales"))
    with pytest.raises(AlreadyExists, match="source_id 's1'"):
        store.sources.add(a_source(name="Other"))


def test_simultaneous_adds_of_one_name_give_one_source(store: Store) -> None:
    def add(number: int) -> str:
        try:
            store.sources.add(a_source(f"s{number}", name="Sales"))
        except AlreadyExists:
            return "refused"
        return "added"

    with ThreadPoolExecutor(10) as pool:
        outcomes = list(pool.map(add, range(10)))
    assert sorted(outcomes) == ["added"] + ["refused"] * 9
    assert store.sources.list(Page()).total == 1


def test_text_no_database_can_hold_is_a_bad_request(store: Store) -> None:
    with pytest.raises(InvalidRequest, match="cannot be stored"):
        store.sources.add(a_source(name="a\0b"))
    assert store.sources.list(Page()).total == 0


def test_lists_in_order_of_creation(store: Store) -> None:
    for name, second in (("b", 2), ("a", 2), ("c", 1)):
        store.sources.add(a_source(name, created_at=MOMENT + seconds(second)))
    assert [source.source_id for source in store.sources.list(Page()).items] == ["c", "a", "b"]
    second_page = store.sources.list(Page(number=2, size=2))
    assert ([source.source_id for source in second_page.items], second_page.total) == (["b"], 3)
    assert [source.source_id for source in store.sources.all()] == ["c", "a", "b"]
    assert store.sources.names() == [("c", "Source c"), ("a", "Source a"), ("b", "Source b")]


def test_filters_by_type_and_status(store: Store) -> None:
    store.sources.add(a_source("s1"))
    store.sources.add(a_source("s2", status=SourceStatus.ERROR))
    store.sources.add(a_source("s3", source_type=SourceType.API, status=SourceStatus.ERROR))
    found = {
        "type": store.sources.list(Page(), source_type=SourceType.GCS),
        "status": store.sources.list(Page(), status=SourceStatus.ERROR),
        "both": store.sources.list(Page(), SourceType.API, SourceStatus.ERROR),
        "none": store.sources.list(Page(), SourceType.SFTP),
    }
    ids = {name: [source.source_id for source in rows.items] for name, rows in found.items()}
    assert ids == {"type": ["s1", "s2"], "status": ["s2", "s3"], "both": ["s3"], "none": []}
    assert {name: rows.total for name, rows in found.items()} == {"type": 2, "status": 2, "both": 1, "none": 0}


def test_an_update_raises_the_version(store: Store) -> None:
    store.sources.add(a_source())
    changed = a_source(name="New", description="d", updated_by="other@example.com", updated_at=MOMENT + seconds(9))
    store.sources.update(changed, expected_version=1)
    assert store.sources.get("s1") == changed.model_copy(update={"version": 2})


def test_an_update_keeps_what_never_changes(store: Store) -> None:
    store.sources.add(a_source())
    store.sources.update(
        a_source(created_by="x", created_at=MOMENT + seconds(9), source_type=SourceType.API), expected_version=1
    )
    assert store.sources.get("s1") == a_source(version=2)


def test_an_update_of_another_version_is_refused(store: Store) -> None:
    store.sources.add(a_source())
    store.sources.update(a_source(description="first"), expected_version=1)
    with pytest.raises(PreconditionFailed, match="its version is 2, not 1"):
        store.sources.update(a_source(description="second"), expected_version=1)
    assert store.sources.get("s1").description == "first"


def test_an_update_meets_names_and_missing_sources(store: Store) -> None:
    store.sources.add(a_source("s1"))
    store.sources.add(a_source("s2"))
    with pytest.raises(AlreadyExists, match="name 'Source s2'"):
        store.sources.update(a_source("s1", name="Source s2"), expected_version=1)
    with pytest.raises(NotFound):
        store.sources.update(a_source("s3"), expected_version=1)
    assert store.sources.get("s1") == a_source("s1")


def test_simultaneous_updates_of_one_version_give_one_change(store: Store) -> None:
    store.sources.add(a_source())

    def update(number: int) -> bool:
        try:
            store.sources.update(a_source(description=str(number)), expected_version=1)
        except PreconditionFailed:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(update, range(8))) == 1
    assert store.sources.get("s1").version == 2


def test_delete(store: Store) -> None:
    store.sources.add(a_source())
    store.sources.delete("s1")
    with pytest.raises(NotFound):
        store.sources.get("s1")
    with pytest.raises(NotFound):
        store.sources.delete("s1")


def test_a_source_in_use_stays(store: Store) -> None:
    store.sources.add(a_source())
    store.pipelines.add(a_pipeline("p1", pipeline_name="One"))
    store.pipelines.add(a_pipeline("p2", pipeline_name="Two", created_at=MOMENT + seconds(1)))
    with pytest.raises(ResourceInUse, match="'s1' is used by the pipelines 'One', 'Two'") as caught:
        store.sources.delete("s1")
    assert caught.value.facts["pipelines"] == ["One", "Two"]
    assert store.sources.get("s1") == a_source()


def test_a_delete_and_a_new_pipeline_never_both_win(store: Store) -> None:
    def contest(number: int) -> tuple[bool, bool]:
        source_id = f"s{number}"
        store.sources.add(a_source(source_id))
        with ThreadPoolExecutor(2) as pool:
            adding = pool.submit(store.pipelines.add, a_pipeline(f"p{number}", source_id=source_id))
            deleting = pool.submit(store.sources.delete, source_id)
        return adding.exception() is None, deleting.exception() is None

    assert set(map(contest, range(8))) <= {(True, False), (False, True)}


def test_a_status_is_not_a_change_of_the_source(store: Store) -> None:
    store.sources.add(a_source())
    store.sources.set_status("s1", SourceStatus.CONNECTED)
    store.sources.set_status("unknown", SourceStatus.CONNECTED)
    assert store.sources.get("s1") == a_source(status=SourceStatus.CONNECTED)
