"""Credentials of APIs: each method has its own keys, and all secrets are references."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from ingestion.model.connections import ApiConnection


@pytest.mark.parametrize(
    ("details", "words"),
    [
        (
            {"auth_method": "oauth2"},
            "auth_config.client_id: required .*client_secret_secret.*token_url",
        ),
        ({"auth_method": "basic", "auth_config": {"username": "u"}}, "auth_config.password_secret: required"),
        ({"auth_method": "bearer", "auth_config": {"token_secret": "env://T", "x": 1}}, "auth_config.x: unknown field"),
        ({"auth_method": "api_key", "auth_config": {"key_secret": "env://K", "name": "a b"}}, "not a header name"),
        ({"auth_method": "api_key", "auth_config": {"key_secret": "env://K", "location": "body"}}, "location"),
        ({"auth_method": "none", "auth_config": {"username": "u"}}, "auth_config.username: unknown field"),
        ({"auth_config": {"username": "u"}}, "auth_config needs an auth_method"),
        ({"auth_method": "digest"}, "auth_method"),
        ({"rate_limit": 0}, "rate_limit"),
    ],
)
def test_what_cannot_work(details: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        ApiConnection.model_validate({"endpoint_url": "https://h"} | details)


def test_a_secret_in_plain_text_is_refused_and_not_repeated() -> None:
    config = {"username": "u", "password_secret": "hunter2"}
    with pytest.raises(ValidationError, match="must be a secret reference") as caught:
        ApiConnection.model_validate({"endpoint_url": "https://h", "auth_method": "basic", "auth_config": config})
    assert all("hunter2" not in found["msg"] for found in caught.value.errors())
