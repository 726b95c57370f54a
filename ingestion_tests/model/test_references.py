from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from ingestion.model.references import SecretReference, is_reference, names_a_secret, plain_secrets


@pytest.mark.parametrize(
    "text",
    [
        "projects/your-project/secrets/db-password",
        "projects/p/secrets/s/versions/latest",
        "env://DB_PASSWORD",
        "file://db-password.txt",
    ],
)
def test_references(text: str) -> None:
    assert is_reference(text)
    assert TypeAdapter(SecretReference).validate_python(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hunter2",
        "projects/p/secrets/",
        "projects/p/secrets/s/versions/",
        "projects/p/secrets/s/other/1",
        "env://1A",
        "env://A B",
        "env://A\n",
        "file://../x",
        "file:///etc/passwd",
        "file://.hidden",
        "file://a/b",
        "ENV://A",
        " env://A",
    ],
)
def test_what_is_no_reference(text: str) -> None:
    assert not is_reference(text)
    with pytest.raises(ValidationError, match="must be a secret reference") as caught:
        TypeAdapter(SecretReference).validate_python(text)
    assert not text or text not in caught.value.errors()[0]["msg"]


@pytest.mark.parametrize(
    "key", ["password", "password_secret", "Authorization", "X-Api-Key", "api_key", "apikey", "client_secret", "Cookie"]
)
def test_keys_that_name_a_secret(key: str) -> None:
    assert names_a_secret(key)


@pytest.mark.parametrize("key", ["username", "token_url", "credentials", "auth_method", "", "Content-Type", "key"])
def test_keys_that_do_not(key: str) -> None:
    assert not names_a_secret(key)


def test_plain_secrets_are_found_at_any_depth() -> None:
    data = {"a": {"token": "x", "ok": "y", "b": {"password": "z"}}, "secret": "env://S", "api_key": 5}
    assert list(plain_secrets(data, "config")) == ["config.a.token", "config.a.b.password"]
