"""The tests every connector has to pass, for pytest.

Subclass ConnectorContract in a test module of the connector's package and give it the fixture `case`. Needs pytest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from pydantic import ValidationError

from ingestion.connectors.base import CustomConnector, ReadRequest
from ingestion.errors import ExecutionFailure, ObjectMissing

_BATCH_ROWS = 700
_UNKNOWN = "no_such_field_of_the_contract"


@dataclass(frozen=True)
class ConnectorCase:
    """A source that is there while the tests run, and what is known of it.

    `rows` is the exact number of rows of `object_name`. With `cursor` (column, value as text), `rows_from_cursor`
    rows are at or above it. `secrets` resolves the references in `config`; their values must not show up anywhere.
    """

    connector: type[CustomConnector[Any, Any]]
    config: Mapping[str, Any]
    object_name: str
    rows: int
    params: Mapping[str, Any] = field(default_factory=dict)
    unreachable_config: Mapping[str, Any] | None = None
    cursor: tuple[str, str] | None = None
    rows_from_cursor: int | None = None
    secrets: Mapping[str, str] = field(default_factory=dict)

    def open(self, config: Mapping[str, Any] | None = None) -> CustomConnector[Any, Any]:
        """The connector of the case, or with another config."""
        model = self.connector.config_model.model_validate(dict(self.config if config is None else config))
        return self.connector(model, self.secrets.__getitem__)

    def request(self, **changes: Any) -> ReadRequest[Any]:
        """A request for all rows, with changes."""
        given: dict[str, Any] = {"object_name": self.object_name, "batch_size": _BATCH_ROWS, **changes}
        return ReadRequest(params=self.connector.params_model.model_validate(dict(self.params)), **given)


class ConnectorContract:
    """Inherit, and give a fixture `case`."""

    @pytest.fixture
    def case(self) -> ConnectorCase:
        """The source under test."""
        raise NotImplementedError("give the class a fixture named case that returns a ConnectorCase")

    def test_unknown_fields_of_config_and_params_are_refused(self, case: ConnectorCase) -> None:
        """A misspelt field is an error, not something that has no effect."""
        with pytest.raises(ValidationError):
            case.connector.config_model.model_validate({**case.config, _UNKNOWN: 1})
        with pytest.raises(ValidationError):
            case.connector.params_model.model_validate({**case.params, _UNKNOWN: 1})

    def test_a_source_that_is_there_passes_its_check(self, case: ConnectorCase) -> None:
        """And says in words what was found."""
        assert case.open().check(timeout_seconds=30).strip()

    def test_a_source_that_is_not_there_fails_with_a_typed_error(self, case: ConnectorCase) -> None:
        """So that its code can be shown, and that retries know whether they may help."""
        if case.unreachable_config is None:
            pytest.skip("the case has no unreachable_config")
        connector = case.open(case.unreachable_config)
        with pytest.raises(ExecutionFailure):
            connector.check(timeout_seconds=5)

    def test_the_object_is_listed(self, case: ConnectorCase) -> None:
        """Names are given as they are to be written in a pipeline."""
        names = case.open().objects()
        assert case.object_name in names
        assert len(set(names)) == len(names)

    def test_an_object_that_is_not_there_is_said_to_be_missing(self, case: ConnectorCase) -> None:
        """By ObjectMissing, at the latest when the first batch is asked for."""
        with pytest.raises(ObjectMissing):
            next(iter(case.open().read(case.request(object_name="no_such_object_of_the_contract"))), None)

    def test_every_row_is_read_once(self, case: ConnectorCase) -> None:
        """In one reading and in a second one."""
        connector = case.open()
        assert [_count(connector.read(case.request())) for _ in range(2)] == [case.rows, case.rows]

    def test_the_batch_size_does_not_change_the_rows(self, case: ConnectorCase) -> None:
        """Batches of one row come out as the same rows as large ones."""
        connector = case.open()
        assert _count(connector.read(case.request(batch_size=1))) == case.rows
        assert _count(connector.read(case.request(batch_size=10_000_000))) == case.rows

    def test_keys_are_columns_without_repetition(self, case: ConnectorCase) -> None:
        """No two rows have the same key, or merging would drop one of them."""
        connector = case.open()
        request = case.request()
        keys = list(connector.keys(case.object_name, request.params))
        if not keys:
            pytest.skip("the connector knows no key of the object")
        seen = [tuple(row[key] for key in keys) for batch in connector.read(request) for row in _rows(batch)]
        assert len(set(map(repr, seen))) == len(seen) == case.rows

    def test_nothing_at_or_above_the_cursor_is_left_out(self, case: ConnectorCase) -> None:
        """Rows below it may come too: they are told from those loaded before."""
        if case.cursor is None or case.rows_from_cursor is None:
            pytest.skip("the case has no cursor")
        column, value = case.cursor
        read = _count(case.open().read(case.request(cursor_column=column, cursor_value=value)))
        assert case.rows_from_cursor <= read <= case.rows

    def test_a_reading_that_is_given_up_can_be_begun_anew(self, case: ConnectorCase) -> None:
        """A cancelled execution closes the reading early; nothing may stay locked."""
        connector = case.open()
        for _ in range(3):
            batches = iter(connector.read(case.request(batch_size=1)))
            next(batches, None)
            close: Callable[[], None] | None = getattr(batches, "close", None)
            assert close is not None, "read should be a generator, so that it can be closed"
            close()
        assert _count(connector.read(case.request())) == case.rows

    def test_no_secret_shows(self, case: ConnectorCase) -> None:
        """Neither in what the connector prints as, nor in what its check says."""
        connector = case.open()
        shown = f"{connector!r} {connector.config!r} {connector.check(timeout_seconds=30)}"
        assert not [reference for reference, value in case.secrets.items() if value in shown]

    def test_a_source_that_is_away_can_be_registered(self, case: ConnectorCase) -> None:
        """The constructor opens nothing."""
        if case.unreachable_config is None:
            pytest.skip("the case has no unreachable_config")
        assert isinstance(case.open(case.unreachable_config), case.connector)


def _count(batches: Iterator[Any]) -> int:
    return sum(len(batch) for batch in batches)


def _rows(batch: Any) -> Sequence[Mapping[str, Any]]:
    rows: Sequence[Mapping[str, Any]] = batch.to_pylist() if hasattr(batch, "to_pylist") else batch
    return rows
