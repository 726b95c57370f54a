"""The base class of connectors that others write."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    import pyarrow as pa

Rows: TypeAlias = "pa.RecordBatch | Sequence[Mapping[str, Any]]"
"""A batch: an Arrow record batch, whose types are kept, or JSON-like mappings, whose types are told from all rows.

Values of mappings are None, bool, int, float, str, Decimal, date, time, datetime, bytes, and lists and mappings
of these. A column that a mapping does not have is NULL in its row.
"""

Config = TypeVar("Config", bound=BaseModel)
Params = TypeVar("Params", bound=BaseModel)


class NoParams(BaseModel):
    """The `params` of a connector that takes none."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True)
class ReadRequest(Generic[Params]):
    """What is to be read.

    `cursor_column` is the pipeline's incremental_key; with `cursor_value` (text: ISO 8601 for dates and times, UTC)
    only rows at or above it, or without a value in that column, are wanted. Rows below it do no harm: they are told
    from those that were loaded before. `start_date` and `end_date`, both inclusive, are those of a backfill.
    `limit`: no more rows than that will be taken.
    """

    object_name: str
    params: Params
    cursor_column: str | None = None
    cursor_value: str | None = None
    start_date: date | None = None
    end_date: date | None = None
    include_deleted: bool = False
    batch_size: int = 10_000
    limit: int | None = None


class CustomConnector(ABC, Generic[Config, Params]):
    """One source. Made anew for every call and execution; the constructor opens nothing.

    Subclasses set `config_model` (the source's `connection_details.config`) and, if they take any, `params_model`
    (the pipeline's `extraction_params.params`). Both should refuse unknown fields. What goes wrong is raised as one
    of the errors of `ingestion.connectors`, with a message that names the object and the next step; anything else
    is reported as a defect of the connector.
    """

    config_model: ClassVar[type[BaseModel]]
    params_model: ClassVar[type[BaseModel]] = NoParams

    def __init__(self, config: Config, secret: Callable[[str], str]) -> None:
        """`secret` gives the value of a secret reference; it is to be used late, and its value kept nowhere."""
        self.config = config
        self.secret = secret

    @abstractmethod
    def check(self, timeout_seconds: float) -> str:
        """Prove that the source can be reached and read; what was found, in a few words."""

    @abstractmethod
    def objects(self) -> Sequence[str]:
        """Names of what can be read, such as tables; may be cut off where there are very many."""

    def keys(self, object_name: str, params: Params) -> Sequence[str]:
        """The primary key's columns, if the source knows them."""
        return ()

    @abstractmethod
    def read(self, request: ReadRequest[Params]) -> Iterator[Rows]:
        """The rows, batch by batch, each row once. Raises ObjectMissing when there is no such object.

        Best written as a generator that closes what it opened in a `finally`: it is closed early when the execution
        is cancelled.
        """
