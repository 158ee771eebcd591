"""The web with a certificate of its own, as curl sees it: names, service addresses, renewal, and none there."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.e2e.test_tls import make_certificate
from tests.served import ADDRESSES, COMMANDS, SHARED, Root, Served, copy_root, moments, run, start

SITE = "web.example.org"


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("w")
    run(COMMANDS / "vmail", "--root", folder / "demo", "init", "--demo", check=True)
    root = copy_root(folder / "demo", folder / "root", [free_port() for _ in range(4)])
    make_certificate(root.etc / "web.pem", SITE)
    make_certificate(root.etc / "va.pem", "mailhost.va.toto.fr")
    text = (root.etc / "vmail.toml").read_text()
    (root.etc / "vmail.toml").write_text(text.replace("[web]\n", '[web]\ncertificate = "/etc/vmail/web.pem"\n'))
    definition = root.etc / "domains/va.toto.fr.toml"
    definition.write_text('certificate = "/etc/vmail/va.pem"\n' + definition.read_text())
    served = start(root)
    yield served
    served.stop()


def curl(root: Root, name: str, path: str, trusted: Path, *more: str, address: str = SHARED) -> str:
    """The answer, headers included; of a connection to `address` by a client that asks for `name`."""
    way = f"{name}:{root.web}:{address}"
    found = run("curl", "-si", "--cacert", trusted, "--resolve", way, *more, f"https://{name}:{root.web}{path}")
    assert found.returncode == 0, (found.returncode, found.stderr)
    return found.stdout


def test_a_browser_that_names_a_domain_gets_its_certificate_and_another_the_site_s(secure: Served) -> None:
    page = curl(secure.root, SITE, "/login", secure.root.etc / "web.pem")
    assert "strict-transport-security: max-age=31536000" in page
    assert "; Secure" in page
    page = curl(secure.root, "mailhost.va.toto.fr", "/login", secure.root.etc / "va.pem")
    assert "va.toto.fr" in page
    wrong = run(
        "curl", "-s", "--cacert", secure.root.etc / "web.pem", "--resolve",
        f"mailhost.va.toto.fr:{secure.root.web}:{SHARED}", f"https://mailhost.va.toto.fr:{secure.root.web}/login",
    )  # fmt: skip
    assert wrong.returncode == 60, "curl does not trust the domain's certificate by the site's"
    assert secure.root.etc.joinpath("va.pem").read_text() not in wrong.stdout


def test_plain_http_is_not_answered(secure: Served) -> None:
    assert run("curl", "-s", f"http://{SHARED}:{secure.root.web}/login").returncode != 0


def test_mail_programs_find_their_settings_by_name_and_by_address(secure: Served) -> None:
    path = "/mail/config-v1.1.xml"
    site = secure.root.etc / "web.pem"
    for domain, address in ADDRESSES.items():
        # Whatever the name: the address tells the domain, as without TLS.
        found = curl(secure.root, SITE, path, site, address=address)
        assert f"<domain>{domain}</domain>" in found
        named = curl(secure.root, SITE, f"{path}?emailaddress=bob@{domain}", site)
        assert f"<domain>{domain}</domain>" in named
    assert " 404 " in curl(secure.root, SITE, path, site).partition("\n")[0]
    assert " 404 " in curl(secure.root, SITE, f"{path}?emailaddress=x@else.example", site, address="127.0.0.2")


def test_a_renewed_certificate_needs_no_restart(secure: Served) -> None:
    certificate = secure.root.etc / "web.pem"
    before = certificate.read_bytes()
    make_certificate(certificate.with_name("new.pem"), SITE)
    certificate.with_name("new.pem").rename(certificate)
    assert certificate.read_bytes() != before
    for _ in moments("the new certificate is not served"):
        if ssl.get_server_certificate((SHARED, secure.root.web)).split() == _first(certificate.read_text()):
            break
    assert "strict-transport" in curl(secure.root, SITE, "/login", certificate)


def _first(pem: str) -> list[str]:
    """The first certificate of a file."""
    end = "-----END CERTIFICATE-----"
    return (pem.partition(end)[0] + end).split()


def test_without_a_usable_certificate_nothing_is_served(
    tmp_path: Path, secure: Served, free_port: Callable[[], int]
) -> None:
    root = copy_root(secure.root.path.parent / "demo", tmp_path / "root", [free_port() for _ in range(4)])
    text = (root.etc / "vmail.toml").read_text()
    (root.etc / "vmail.toml").write_text(text.replace("[web]\n", '[web]\ncertificate = "/etc/vmail/gone.pem"\n'))
    server = start(root)
    try:
        for _ in moments("nothing is said of it"):
            if b"certificate of [web] cannot be used" in (root.path / "serve.log").read_bytes():
                break
        assert run("curl", "-s", "-m", "2", f"http://{SHARED}:{root.web}/login").returncode != 0
    finally:
        server.stop()
