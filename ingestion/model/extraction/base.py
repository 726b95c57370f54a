"""What the models of `extraction_params` share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field

from ingestion.model.base import StrictModel
from ingestion.model.connections import ConnectionDetails
from ingestion.model.macros import MACRO_NAMES, embedded_macros, unknown_macros
from ingestion.model.problems import Problem


def _check_macros(text: str) -> str:
    unknown = unknown_macros(text)
    if unknown:
        raise ValueError(f"unknown macro {unknown[0]!r}; known macros are {', '.join(MACRO_NAMES)}")
    return text


def _check_query(query: str) -> str:
    _check_macros(query)
    embedded = embedded_macros(query)
    if embedded:
        raise ValueError(
            f"the macro {embedded[0]!r} stands inside a longer text literal and cannot be bound there; "
            f"write it alone in its quotes and join the parts with || (in MySQL with CONCAT)"
        )
    return query


PatternText = Annotated[str, Field(min_length=1), AfterValidator(_check_macros)]
QueryText = Annotated[str, Field(min_length=1), AfterValidator(_check_query)]


class ExtractionParams(StrictModel):
    """Base of the models per kind of source. `refused`: inherited fields that mean nothing there, and why."""

    refused: ClassVar[Mapping[str, str]] = {}

    @property
    def cursor_column(self) -> str | None:
        """The column an incremental pipeline follows, by its name at the source."""
        return None

    @property
    def key_columns(self) -> tuple[str, ...]:
        """The primary key as the pipeline declares it, by the names at the source."""
        return ()

    @property
    def may_know_keys(self) -> bool:
        """Whether the source may tell a primary key when it is read, beside `key_columns`."""
        return False

    @property
    def deletion_mark(self) -> str | None:
        """The column that marks rows deleted at the source, by its name there.

        A row is marked when the column is true, a number other than 0, or a date or timestamp that is not NULL.
        Connectors hand marked rows over like all others. With `include_deleted` they are loaded as they are;
        without, they are not loaded, and a MERGE deletes the target's rows with their keys.
        """
        return None

    @property
    def only_new(self) -> bool:
        """Whether files of which the same generation was loaded are left out, however the rows are written."""
        return False

    def problems(self, connection: ConnectionDetails, prefix: str) -> Sequence[Problem]:
        """What cannot work on that source, with paths below `prefix`."""
        return ()


def as_columns(key: str | tuple[str, ...] | None) -> tuple[str, ...]:
    """A key given as one column or as several, as a tuple."""
    if key is None:
        return ()
    return (key,) if isinstance(key, str) else key
