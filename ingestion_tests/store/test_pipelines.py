from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from ingestion.errors import AlreadyExists, AlreadyRunning, NotFound, PreconditionFailed
from ingestion.store import Page, PipelineRow, Store
from ingestion_tests.store.samples import MOMENT, a_new_execution, a_pipeline, a_source, running, seconds, with_pipeline


@pytest.fixture(autouse=True)
def _source(store: Store) -> None:
    store.sources.add(a_source())


def test_a_pipeline_reads_back_as_it_was_added(store: Store) -> None:
    pipeline = a_pipeline()
    assert store.pipelines.add(pipeline) == pipeline
    assert store.pipelines.get("p1") == pipeline
    assert store.pipelines.by_dag_id("gcs_to_bq_daily_sales") == pipeline
    assert store.pipelines.revision("p1", 1) == pipeline


@pytest.mark.parametrize("wanted", ["unknown", "a\0b", "\udfff"])
def test_what_is_unknown_is_not_found(store: Store, wanted: str) -> None:
    for ask in (store.pipelines.get, store.pipelines.by_dag_id, store.pipelines.delete):
        with pytest.raises(NotFound, match=r"^Pipeline with ID '"):
            ask(wanted)
    with pytest.raises(NotFound, match=r"^Pipeline with ID '"):
        store.pipelines.revision(wanted, 1)
    assert store.pipelines.list(Page(), source_id=wanted).total == 0


def test_the_source_has_to_exist(store: Store) -> None:
    with pytest.raises(NotFound, match=r"^Source system with ID 'gone' not found$"):
        store.pipelines.add(a_pipeline(source_id="gone"))
    assert store.pipelines.list(Page()).total == 0


def test_a_name_is_taken_once(store: Store) -> None:
    store.pipelines.add(a_pipeline("p1", pipeline_name="Daily"))
    with pytest.raises(AlreadyExists, match=r"^Pipeline with pipeline_name 'Daily' already exists$"):
        store.pipelines.add(a_pipeline("p2", pipeline_name="Daily"))
    with pytest.raises(NotFound):
        store.pipelines.revision("p2", 1)


def test_dag_ids_that_collide_are_numbered(store: Store) -> None:
    store.pipelines.add(a_pipeline("other", dag_id="gcs_to_bq_daily_sales_extra"))
    stored = [store.pipelines.add(a_pipeline(f"p{number}")) for number in range(3)]
    assert [pipeline.dag_id for pipeline in stored] == [
        "gcs_to_bq_daily_sales",
        "gcs_to_bq_daily_sales_2",
        "gcs_to_bq_daily_sales_3",
    ]
    assert store.pipelines.get("p1") == stored[1] == store.pipelines.revision("p1", 1)
    store.pipelines.delete("p1")
    assert store.pipelines.add(a_pipeline("p3")).dag_id == "gcs_to_bq_daily_sales_2"


def test_simultaneous_adds_get_different_dag_ids(store: Store) -> None:
    with ThreadPoolExecutor(8) as pool:
        dag_ids = {stored.dag_id for stored in pool.map(store.pipelines.add, map(a_pipeline, "abcdefgh"))}
    assert len(dag_ids) == 8


def test_lists_in_order_of_creation(store: Store) -> None:
    store.sources.add(a_source("s2"))
    store.pipelines.add(a_pipeline("b", is_active=False))
    store.pipelines.add(a_pipeline("a", source_id="s2"))
    store.pipelines.add(a_pipeline("c", created_at=MOMENT - seconds(1), is_active=False))
    found = {
        "all": store.pipelines.list(Page()),
        "source": store.pipelines.list(Page(), source_id="s1"),
        "idle": store.pipelines.list(Page(), is_active=False),
        "active": store.pipelines.list(Page(), is_active=True),
        "both": store.pipelines.list(Page(), source_id="s2", is_active=False),
        "last": store.pipelines.list(Page(3, 1)),
    }
    assert {name: ([item.pipeline_id for item in rows.items], rows.total) for name, rows in found.items()} == {
        "all": (["c", "a", "b"], 3),
        "source": (["c", "b"], 2),
        "idle": (["c", "b"], 2),
        "active": (["a"], 1),
        "both": ([], 0),
        "last": (["b"], 3),
    }


def test_all_come_with_their_sources_sorted_by_dag_id(store: Store) -> None:
    other = a_source("s2")
    store.sources.add(other)
    first = store.pipelines.add(a_pipeline("p1", dag_id="z"))
    second = store.pipelines.add(a_pipeline("p2", dag_id="a", source_id="s2"))
    assert store.pipelines.all() == [PipelineRow(second, other), PipelineRow(first, a_source())]


def test_an_update_writes_the_next_revision(store: Store) -> None:
    first = store.pipelines.add(a_pipeline())
    changed = a_pipeline(target_table="other", configuration={}, updated_at=MOMENT + seconds(5), dag_id="ignored")
    store.pipelines.update(changed, expected_revision=1)
    second = store.pipelines.get("p1")
    assert second == changed.model_copy(update={"revision": 2, "dag_id": first.dag_id})
    assert store.pipelines.revision("p1", 1) == first
    assert store.pipelines.revision("p1", 2) == second


def test_an_update_of_another_revision_is_refused(store: Store) -> None:
    store.pipelines.add(a_pipeline())
    with pytest.raises(PreconditionFailed, match="its revision is 1, not 7"):
        store.pipelines.update(a_pipeline(description="new"), expected_revision=7)
    assert store.pipelines.get("p1") == a_pipeline()
    with pytest.raises(NotFound):
        store.pipelines.revision("p1", 8)


def test_an_update_meets_names_sources_and_missing_pipelines(store: Store) -> None:
    store.pipelines.add(a_pipeline("p1"))
    store.pipelines.add(a_pipeline("p2"))
    with pytest.raises(AlreadyExists, match="pipeline_name 'Pipeline p2'"):
        store.pipelines.update(a_pipeline("p1", pipeline_name="Pipeline p2"), expected_revision=1)
    with pytest.raises(NotFound, match="Source system"):
        store.pipelines.update(a_pipeline("p1", source_id="gone"), expected_revision=1)
    with pytest.raises(NotFound, match="Pipeline"):
        store.pipelines.update(a_pipeline("p3"), expected_revision=1)
    assert store.pipelines.get("p1") == a_pipeline("p1")


def test_revisions_stay_after_the_pipeline_is_deleted(store: Store) -> None:
    store.pipelines.add(a_pipeline())
    store.pipelines.delete("p1")
    assert store.pipelines.revision("p1", 1) == a_pipeline()
    assert store.pipelines.all() == []
    with pytest.raises(NotFound):
        store.pipelines.get("p1")


def test_a_running_pipeline_stays(store: Store) -> None:
    pipeline = with_pipeline(store)
    running(store, pipeline, "e1")
    with pytest.raises(AlreadyRunning, match="'e1' is not finished"):
        store.pipelines.delete("p1")
    store.executions.accept(a_new_execution(pipeline, "e2", queue_if_busy=True))
    store.executions.cancel("e1")
    with pytest.raises(AlreadyRunning, match="'e2' is not finished"):
        store.pipelines.delete("p1")
    store.executions.cancel("e2")
    store.pipelines.delete("p1")
    assert store.executions.get("e1").pipeline_id == "p1"
    assert [row.execution_id for row in store.executions.list("p1", Page()).items] == ["e2", "e1"]


def test_a_delete_and_an_accept_never_both_win(store: Store) -> None:
    def contest(number: int) -> tuple[bool, bool]:
        pipeline = store.pipelines.add(a_pipeline(f"p{number}"))
        with ThreadPoolExecutor(2) as pool:
            accepting = pool.submit(store.executions.accept, a_new_execution(pipeline))
            deleting = pool.submit(store.pipelines.delete, pipeline.pipeline_id)
        return accepting.exception() is None, deleting.exception() is None

    assert set(map(contest, range(8))) <= {(True, False), (False, True)}
