"""`vmail token` and `vmail audit`."""

from __future__ import annotations

import json

from tests.unit.cli.conftest import Vmail


def test_a_token_is_made_listed_and_taken_back(vmail: Vmail) -> None:
    assert vmail("token", "add", "shop", "--dry-run").stdout == "Would make the token shop\n"
    secret = vmail("token", "add", "shop", "--right", "read", "--days", "3").stdout.strip()
    assert secret.startswith("vmail_")
    listed = vmail("token", "list").stdout
    assert "shop" in listed
    assert secret not in listed
    (token,) = json.loads(vmail("token", "list", "--json").stdout)["tokens"]
    assert (token["name"], token["rights"]) == ("shop", ["read"])
    number = str(token["number"])
    assert vmail("token", "revoke", number, "--dry-run").status == 0
    assert vmail("token", "revoke", number, "--json").status == 0
    assert vmail("token", "revoke", number).status == 1
    assert vmail("token", "add", "x", "--right", "everything").status == 2
    assert "make the token shop" in vmail("audit").stdout
    assert json.loads(vmail("audit", "--json").stdout)["changes"][0]["verb"] == "token revoke"
