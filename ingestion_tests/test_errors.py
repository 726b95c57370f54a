from __future__ import annotations

import inspect
import pickle
import re
from typing import Any

import pytest

from ingestion import errors
from ingestion.errors import ExecutionFailure, IngestionError, InvalidRequest, NotFound, RequestError
from ingestion.model.problems import Problem

ALL = [value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, IngestionError)]
_ARGUMENTS: dict[type[IngestionError], tuple[object, ...]] = {
    errors.InvalidRequest: ([Problem("a", "b")],),
    errors.InvalidConfiguration: ([Problem("a", "b")],),
    errors.NotFound: ("Pipeline", "p1"),
    errors.AlreadyExists: ("Pipeline", "pipeline_name", "Daily"),
}


def example(error: Any) -> IngestionError:
    made: IngestionError = error(*_ARGUMENTS.get(error, ("broken",)))
    return made


@pytest.mark.parametrize("error", [example(error) for error in ALL], ids=lambda error: type(error).__name__)
def test_every_error_has_a_code_a_kind_and_survives_pickling(error: IngestionError) -> None:
    assert re.fullmatch("[A-Z]+(_[A-Z]+)*", error.code)
    assert isinstance(error.transient, bool)
    assert str(error) == error.message != ""
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert (copy.message, copy.facts, copy.args) == (error.message, error.facts, error.args)


def test_every_error_is_of_one_of_the_two_families() -> None:
    families = (RequestError, ExecutionFailure)
    assert all(issubclass(error, families) for error in ALL if error is not IngestionError)
    assert not any(issubclass(error, RequestError) and issubclass(error, ExecutionFailure) for error in ALL)


def test_every_error_is_drawn_in_the_module_s_docstring() -> None:
    drawn = errors.__doc__ or ""
    missing = [error.__name__ for error in ALL if error.__name__ not in drawn]
    assert missing == []


def test_facts_are_attributes() -> None:
    error = errors.AlreadyRunning("busy", pipeline_id="p1", execution_id="e1")
    assert error.facts == {"pipeline_id": "p1", "execution_id": "e1"}
    assert vars(error)["execution_id"] == "e1"


def test_messages_of_the_contract() -> None:
    assert str(NotFound("Source system", "x")) == "Source system with ID 'x' not found"
    assert str(errors.AlreadyExists("Source system", "name", "a")) == "Source system with name 'a' already exists"


def test_an_invalid_request_tells_every_problem() -> None:
    error = InvalidRequest(iter([Problem("a.b", "is wrong"), Problem("", "has no body")]))
    assert str(error) == "a.b: is wrong; has no body"
    assert [problem.field for problem in error.problems] == ["a.b", ""]
