"""The table of endpoints agrees with itself and with the other tables."""

from __future__ import annotations

import re

from api.auth.permissions import ALL
from api.errors import STATUSES
from api.table import ENDPOINTS


def test_no_two_endpoints_share_an_address_a_summary_or_a_message() -> None:
    for key in ((lambda e: (e.method, e.path)), (lambda e: e.summary), (lambda e: e.message)):
        assert len({key(endpoint) for endpoint in ENDPOINTS}) == len(ENDPOINTS)


def test_fixed_paths_come_before_those_with_an_id_in_their_place() -> None:
    paths = list(dict.fromkeys(endpoint.path for endpoint in ENDPOINTS))
    for index, path in enumerate(paths):
        pattern = re.compile(re.sub(r"\{[^}]*:path\}", ".+", path).replace("{", "(?P<").replace("}", ">[^/]+)"))
        assert not [later for later in paths[index + 1 :] if pattern.fullmatch(later) and "{" not in later], path


def test_permissions_and_errors_are_known() -> None:
    for endpoint in ENDPOINTS:
        assert endpoint.permission in ALL
        assert set(endpoint.errors) <= set(STATUSES)


def test_what_is_changed_by_a_body_documents_it() -> None:
    for endpoint in ENDPOINTS:
        assert (endpoint.request is not None) == (endpoint.method in ("POST", "PUT")), endpoint.path
        names = [parameter.name for parameter in endpoint.parameters]
        assert len(set(names)) == len(names)
        assert ("page" in names) == (endpoint.response.__name__.startswith("PageOf"))
