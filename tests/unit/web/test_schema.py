"""The API keeps to its own description, whatever it is sent: schemathesis makes requests from its OpenAPI text."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance
from tests.unit.web.conftest import Browser

CHECKS = [not_a_server_error, content_type_conformance, response_schema_conformance]
EXAMPLES = 6
"""Of each operation: more find more, and take their time."""
KNOWN = {"domain": "vb.toto.fr", "login": "bob", "time": "20260101T000000"}
"""What is made up is nearly always of no domain, and is refused at the door."""


def test_no_request_is_answered_by_a_server_error(app: FastAPI, tokens: dict[str, str]) -> None:
    description = schemathesis.openapi.from_asgi("/api/v1/openapi.json", app)
    headers = {"authorization": f"Bearer {tokens['admin']}"}
    seen: set[tuple[str, int]] = set()

    @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    def send(case: Any, known: bool) -> None:
        if known and case.method != "DELETE":
            case.path_parameters |= {name: KNOWN[name] for name in case.path_parameters}
        answer = case.call_and_validate(headers=headers, checks=CHECKS)
        seen.add((case.operation.label, answer.status_code))

    operations = [found.ok() for found in description.get_all_operations() if isinstance(found, Ok)]
    assert len(operations) == description.statistic.operations.total, "the description can be read"
    for operation in operations:
        given(case=operation.as_strategy(), known=st.booleans())(send)()
    assert {label for label, _ in seen} == {operation.label for operation in operations}
    assert {200, 201, 404, 422} <= {status for _, status in seen}, "some were carried out, some refused"
    done = {label for label, status in seen if status in {200, 201}}
    assert len(done) > len(operations) / 3, "requests reach what is behind the door"


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (rb'{"login": "nina", "quotaa": 1}', "body.quotaa: Extra inputs are not permitted"),
        (rb'{"login": "nina", "password": ["purple walrus"]}', "body.password: Input should be a valid string"),
        (rb'{"login": "nina", "\ud800": 1}', "body"),
        (rb'{"login": "\ud800"}', "half of a surrogate pair is no character"),
        (b"{", "body.1: JSON decode error"),
    ],
)
def test_what_cannot_be_understood_is_told_as_every_refusal(
    app: FastAPI, tokens: dict[str, str], body: bytes, fault: str
) -> None:
    headers = {"authorization": f"Bearer {tokens['admin']}", "content-type": "application/json"}
    answer = Browser(app).send("POST", "/api/v1/domains/va.toto.fr/accounts", content=body, headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert fault in answer.json()["title"]
    assert answer.json()["remedy"]
    assert "walrus" not in answer.text, "a password is not repeated"


def test_a_page_with_a_number_that_is_none_is_no_page(admin: Browser) -> None:
    answer = admin.get("/overview?hours=many")
    assert (answer.status_code, "This page does not exist." in answer.text) == (404, True)
