"""The contract of connectors passes a good one, and finds what is wrong with bad ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
from pydantic import BaseModel

from ingestion.connectors import NoParams, ReadRequest, Rows
from ingestion.connectors.contract import ConnectorCase, ConnectorContract
from ingestion_tests.connectors.numbers import Config, NumbersConnector, Params

SECRETS = {"env://NUMBERS_TOKEN": "hunter2hunter2"}


def numbers_case(connector: type[NumbersConnector]) -> ConnectorCase:
    return ConnectorCase(
        connector=connector,
        config={"rows": 2000},
        object_name="numbers",
        rows=2000,
        unreachable_config={"rows": 1, "is_away": True},
        cursor=("id", "1900"),
        rows_from_cursor=100,
        secrets=SECRETS,
    )


class TestNumbers(ConnectorContract):
    @pytest.fixture
    def case(self) -> ConnectorCase:
        return numbers_case(NumbersConnector)


class LooseConfig(BaseModel):
    rows: int = 0
    is_away: bool = False
    token: str = "env://NUMBERS_TOKEN"


class Loose(NumbersConnector):
    config_model = LooseConfig


class Forgetful(NumbersConnector):
    def read(self, request: ReadRequest[Params]) -> Iterator[Rows]:
        for batch in super().read(request):
            yield batch[1:]


class Repeating(NumbersConnector):
    def read(self, request: ReadRequest[Params]) -> Iterator[Rows]:
        yield [{"id": 1}] * self.config.rows


class Skipping(NumbersConnector):
    def read(self, request: ReadRequest[Params]) -> Iterator[Rows]:
        return super().read(ReadRequest("numbers", request.params, cursor_value="1950"))


class Talkative(NumbersConnector):
    def check(self, timeout_seconds: float) -> str:
        return f"the token is {self.secret(self.config.token)}"


class Nameless(NumbersConnector):
    def objects(self) -> Sequence[str]:
        return []


class Careless(NumbersConnector):
    def check(self, timeout_seconds: float) -> str:
        return "fine"


@pytest.mark.parametrize(
    ("connector", "test", "outcome"),
    [
        (Loose, "test_unknown_fields_of_config_and_params_are_refused", pytest.fail.Exception),
        (Forgetful, "test_every_row_is_read_once", AssertionError),
        (Forgetful, "test_the_batch_size_does_not_change_the_rows", AssertionError),
        (Repeating, "test_keys_are_columns_without_repetition", AssertionError),
        (Repeating, "test_an_object_that_is_not_there_is_said_to_be_missing", pytest.fail.Exception),
        (Skipping, "test_nothing_at_or_above_the_cursor_is_left_out", AssertionError),
        (Talkative, "test_no_secret_shows", AssertionError),
        (Nameless, "test_the_object_is_listed", AssertionError),
        (Careless, "test_a_source_that_is_not_there_fails_with_a_typed_error", pytest.fail.Exception),
    ],
)
def test_what_is_wrong_is_found(connector: type[NumbersConnector], test: str, outcome: type[BaseException]) -> None:
    case = numbers_case(connector)
    assert Config.model_validate({"rows": 1}).token in SECRETS
    with pytest.raises(outcome):
        getattr(ConnectorContract(), test)(case)


def test_params_are_none_unless_a_connector_takes_some() -> None:
    assert NoParams.model_config.get("extra") == "forbid"
