from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from ingestion.model.connections import GcsConnection
from ingestion.model.connections.google import GoogleAccess, is_google_endpoint, may_receive_tokens

KEY = {"credentials_secret": "projects/p/secrets/loader-key"}
ACCOUNT = "loader@my-project.iam.gserviceaccount.com"


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"credentials_secret": "hunter2"}, "must be a secret reference"),
        ({"impersonate_service_account": "loader"}, "'loader' is not a service account"),
        ({"impersonation_delegates": [ACCOUNT]}, "delegates lead nowhere without impersonate_service_account"),
        ({"impersonate_service_account": ACCOUNT, "impersonation_delegates": []}, "at least 1 item"),
    ],
)
def test_what_is_no_identity(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        GoogleAccess.model_validate(fields)


def test_an_identity_of_its_own() -> None:
    assert not GoogleAccess().has_own_identity
    assert GoogleAccess.model_validate(KEY).has_own_identity
    assert GoogleAccess(impersonate_service_account=ACCOUNT).has_own_identity


@pytest.mark.parametrize(
    ("url", "is_google", "may_receive"),
    [
        ("https://storage.googleapis.com", True, True),
        ("https://STORAGE-x.p.googleapis.com:443/", True, True),
        ("http://storage.googleapis.com", False, False),
        ("https://googleapis.com.example.com", False, False),
        ("https://evilgoogleapis.com", False, False),
        ("https://storage.googleapis.com@example.com", False, False),
        ("http://127.0.0.1:4443", False, True),
        ("http://localhost:4443", False, True),
        ("https://storage.example.com", False, False),
    ],
)
def test_where_tokens_may_go(url: str, is_google: bool, may_receive: bool) -> None:
    assert (is_google_endpoint(url), may_receive_tokens(url)) == (is_google, may_receive)


def test_a_bucket_elsewhere_is_not_shown_credentials() -> None:
    elsewhere = {"bucket_name": "sales", "endpoint": "https://storage.example.com"}
    assert GcsConnection.model_validate(elsewhere).endpoint == "https://storage.example.com"
    with pytest.raises(ValidationError, match=r"credentials are sent to \*\.googleapis\.com by https only"):
        GcsConnection.model_validate({**elsewhere, **KEY})
