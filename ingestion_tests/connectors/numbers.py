"""A connector for the tests: counts, as mappings or as record batches, and goes wrong on demand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Literal

import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from ingestion.connectors import ConnectionFailed, CustomConnector, ObjectMissing, ReadRequest, Rows


class Config(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    rows: int
    token: str = "env://NUMBERS_TOKEN"
    is_away: bool = False


class Params(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["mappings", "batches", "both"] = "mappings"
    fails_at: int | None = None
    extra: Any = None


class NumbersConnector(CustomConnector[Config, Params]):
    """`closed` counts the readings that were ended, early or not."""

    config_model: ClassVar[type[BaseModel]] = Config
    params_model = Params
    closed = 0

    def check(self, timeout_seconds: float) -> str:
        self._require()
        return f"{self.config.rows} numbers, with a token of {len(self.secret(self.config.token))} characters"

    def objects(self) -> Sequence[str]:
        return ["numbers"]

    def keys(self, object_name: str, params: Params) -> Sequence[str]:
        return ("id",)

    def read(self, request: ReadRequest[Params]) -> Iterator[Rows]:
        self._require()
        if request.object_name != "numbers":
            raise ObjectMissing(f"there is no object '{request.object_name}'")
        params = request.params
        first = int(request.cursor_value or 0)
        try:
            for start in range(first, self.config.rows, request.batch_size):
                if params.fails_at is not None and start >= params.fails_at:
                    raise ZeroDivisionError("a defect")
                numbers = range(start, min(start + request.batch_size, self.config.rows))
                yield _batch(numbers, params, start)
        finally:
            type(self).closed += 1

    def _require(self) -> None:
        if self.config.is_away:
            raise ConnectionFailed("the numbers are away")


def _batch(numbers: range, params: Params, start: int) -> Rows:
    if params.kind == "batches" or (params.kind == "both" and start > 0):
        return pa.record_batch({"id": pa.array(numbers, pa.int64()), "half": pa.array([n / 2 for n in numbers])})
    extra = {} if params.extra is None else {"extra": params.extra}
    return [{"id": number, "half": number / 2, **extra} for number in numbers]
