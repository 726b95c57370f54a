"""Every query is one that the installed Dagster understands, before any web server is asked."""

from __future__ import annotations

import pytest
from dagster_graphql.schema import create_schema
from graphql import GraphQLSchema, OperationDefinitionNode, parse, validate

from ingestion.orchestration import queries

TEXTS = {name: text for name, text in vars(queries).items() if name.isupper() and not name.startswith("_")}


@pytest.fixture(scope="module")
def schema() -> GraphQLSchema:
    found: GraphQLSchema = create_schema().graphql_schema
    return found


@pytest.mark.parametrize("name", TEXTS)
def test_it_fits_dagster_s_schema(schema: GraphQLSchema, name: str) -> None:
    assert validate(schema, parse(TEXTS[name])) == []


@pytest.mark.parametrize("name", TEXTS)
def test_it_is_one_operation_that_asks_for_every_kind_of_error(name: str) -> None:
    operations = [node for node in parse(TEXTS[name]).definitions if isinstance(node, OperationDefinitionNode)]

    assert len(operations) == 1
    assert operations[0].name is not None
    assert "... on PythonError { message" in TEXTS[name]
