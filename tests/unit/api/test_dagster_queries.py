"""Every GraphQL document of the gateway, against the schema of the Dagster that is installed."""

from __future__ import annotations

from functools import cache

import pytest
from graphql import GraphQLSchema, OperationDefinitionNode, parse, validate

from api.gateways.dagster import mutations, queries

DOCUMENTS = {"CHECK_HISTORIES": queries.check_histories(3)} | {
    name: text
    for name, text in (vars(queries) | vars(mutations)).items()
    if name.isupper() and not name.startswith("_")
}


@cache
def schema() -> GraphQLSchema:
    from dagster_graphql.schema import create_schema

    return create_schema().graphql_schema


@pytest.mark.parametrize("name", sorted(DOCUMENTS))
def test_dagster_understands(name: str) -> None:
    assert validate(schema(), parse(DOCUMENTS[name])) == []


def test_a_field_that_dagster_does_not_have_would_be_noticed() -> None:
    assert validate(schema(), parse("{ assetNodes { noSuchField } }")) != []


def test_each_document_is_one_named_operation() -> None:
    for text in DOCUMENTS.values():
        operations = [item for item in parse(text).definitions if isinstance(item, OperationDefinitionNode)]
        assert [bool(operation.name) for operation in operations] == [True]
