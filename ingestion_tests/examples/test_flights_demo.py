from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from examples.flights import FLIGHTS, OTHERS
from examples.flights_demo import Mismatch, expect, flight_totals, totals_of_file
from ingestion_tests.servers.stack import clean_environment


@pytest.mark.timeout(300)
def test_the_demo_moves_the_real_data_and_ends_well(tmp_path: Path) -> None:
    home = tmp_path / "home"
    command = [sys.executable, "-m", "examples.flights_demo", "--home", str(home)]
    answer = subprocess.run(command, capture_output=True, text=True, env=clean_environment(), timeout=280)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert answer.stderr == ""
    for expected in (
        "connection successful: True, 4 objects",
        "job gcs_to_bq_flights, schedule '0 2 * * *'",
        "336,776 records in",
        "load_to_bigquery SUCCESS: rows_loaded=336,776",
        "weather: 26,115 records",
        "AIRBUS INDUSTRIE",
        "/api/v1/ingestion",
        "/docs",
        "/dagster",
        "the service has stopped cleanly",
    ):
        assert expected in answer.stdout
    with duckdb.connect(str(home / "warehouse" / "nyc.duckdb"), read_only=True) as connection:
        for table in (FLIGHTS, *OTHERS):
            assert connection.execute(f"SELECT count(*) FROM main.{table.name}").fetchall() == [(table.rows,)]


def test_lost_values_are_a_mismatch(tmp_path: Path) -> None:
    from examples.flights import data_folder

    true_totals = totals_of_file(data_folder())
    assert true_totals[0] == FLIGHTS.rows
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE f AS SELECT 1 AS distance, 2 AS dep_delay, 3 AS arr_delay, 'N1' AS tailnum")
        with pytest.raises(Mismatch, match="totals of flights"):
            expect("totals of flights", flight_totals(connection, "f"), true_totals)
