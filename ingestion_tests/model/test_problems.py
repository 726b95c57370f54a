from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from ingestion.model.connections import CloudSqlConnection
from ingestion.model.extraction import FileExtraction
from ingestion.model.pipeline import PipelineConfiguration
from ingestion.model.problems import Problem, join_problems, problems_of, shown


def found(model: type[BaseModel], given: Any, prefix: str = "") -> list[str]:
    with pytest.raises(ValidationError) as caught:
        model.model_validate(given)
    return [str(problem) for problem in problems_of(caught.value, model, prefix)]


def test_an_unknown_field_is_named_with_the_known_ones() -> None:
    sent = {"transformation_params": {"deduplicate": {"keys": ["id"], "order": "id"}}}
    (problem,) = found(PipelineConfiguration, sent, "configuration")
    assert problem == (
        "configuration.transformation_params.deduplicate.order: unknown field; known fields are keys, order_by"
    )


def test_a_missing_field() -> None:
    assert found(CloudSqlConnection, {"host": "h"}) == ["database: required field is missing"]


def test_a_choice_names_value_and_choices() -> None:
    assert found(FileExtraction, {"file_format": "XLS", "compression": "rar"}) == [
        "file_format: 'XLS' is not one of 'CSV', 'JSON', 'AVRO', 'PARQUET', 'ORC', 'XML', 'TEXT'",
        "compression: 'rar' is not one of 'none', 'gzip', 'bzip2', 'xz', 'zstd', 'zip', 'tar'",
    ]


def test_a_wrong_type_names_the_value() -> None:
    (problem,) = found(FileExtraction, {"skip_header_rows": "one"})
    assert problem.startswith("skip_header_rows: input should be a valid integer")
    assert problem.endswith("not 'one'")


def test_a_secret_is_not_repeated() -> None:
    problems = found(
        CloudSqlConnection,
        {"host": "h", "database": "d", "credentials": {"username": "u", "password_secret": 271828}},
    )
    assert len(problems) == 1
    assert problems[0].startswith("credentials.password_secret: ")
    assert "271828" not in problems[0]


def test_a_rule_over_several_fields_is_about_the_whole() -> None:
    (problem,) = found(CloudSqlConnection, {"database": "d"})
    assert problem.startswith("exactly one of instance_name, host and unix_socket")


def test_every_problem_is_told() -> None:
    assert len(found(FileExtraction, {"a": 1, "b": 2, "quote": "xx"})) == 3


def test_problems_are_joined_for_people() -> None:
    assert join_problems([Problem("a", "b"), Problem("", "c")]) == "a: b; c"


def test_values_are_shown_short() -> None:
    assert shown("x\n") == r"'x\n'"
    assert len(shown("x" * 1000)) == 83
