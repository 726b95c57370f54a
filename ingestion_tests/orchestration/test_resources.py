from __future__ import annotations

from ingestion.orchestration.resources import resource_keys


def test_keys_are_the_names_made_fit_for_dagster() -> None:
    keys = resource_keys([("1", "Sales Data Bucket"), ("2", "Größe/2024"), ("3", "2024 files"), ("4", "???")])

    assert keys == {"1": "sales_data_bucket", "2": "gr_e_2024", "3": "source_2024_files", "4": "source"}


def test_names_that_look_alike_get_numbers_in_their_order() -> None:
    keys = resource_keys([("a", "Orders"), ("b", "orders"), ("c", "Orders!"), ("d", "warehouse")])

    assert keys == {"a": "orders", "b": "orders_2", "c": "orders_3", "d": "warehouse_2"}
