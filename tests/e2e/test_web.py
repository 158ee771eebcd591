"""The web server as `vmail serve` runs it: processes, addresses, a real browser."""

from __future__ import annotations

import poplib
import re
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect
from pyotp import TOTP
from tests.e2e.browser import follow, sign_in, visitor
from tests.served import ADDRESSES, Root, Served, copy_root, moments, start


@pytest.fixture(scope="module")
def web(_demo: Path, tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]) -> Iterator[Served]:
    served = start(copy_root(_demo, tmp_path_factory.mktemp("w") / "root", [free_port() for _ in range(4)]))
    yield served
    served.stop()
    served.check_log()


def can_log_in(root: Root, address: str, login: str, password: str) -> bool:
    session = poplib.POP3(address, root.pop3, timeout=30)
    try:
        session.user(login)
        session.pass_(password)
    except poplib.error_proto:
        return False
    else:
        return True
    finally:
        session.close()


def change_password(base: str, host: str, **fields: str) -> httpx.Response:
    # No client here speaks TLS, and what it would need for that takes longer to load than a page.
    with httpx.Client(base_url=base, headers={"host": host} if host else {}, timeout=90, verify=False) as client:
        page = client.get("/password")
        token = re.search(r'name="form" value="(\w+)"', page.text)
        assert token is not None
        return client.post("/password", data={"form": token[1], **fields})


def test_three_addresses_and_three_names_change_three_files_and_pop3_knows_at_once(web: Served) -> None:
    root = web.root
    people = {"va.toto.fr": "bob", "vb.toto.fr": "bob", "vc.toto.fr": "dave"}
    for domain, address in ADDRESSES.items():
        login = people.get(domain, "bob")
        if not re.search(rf"^{login}:", (root.etc / f"passwd.{domain}").read_text(), re.MULTILINE):
            login = (root.etc / f"passwd.{domain}").read_text().partition(":")[0]
        old, by_address, by_name = f"{login}-{domain[:2]}", "by the address", "and by the name"
        for base, host, before, after in (
            (f"http://{address}:{root.web}", "", old, by_address),
            (f"http://127.0.0.1:{root.web}", f"mailhost.{domain}", by_address, by_name),
        ):
            assert can_log_in(root, address, login, before)
            answer = change_password(base, host, login=login, old=before, new=after, again=after)
            assert answer.status_code == 200, answer.text
            assert f"{login}@{domain}" in answer.text
            assert can_log_in(root, address, login, after)
            assert not can_log_in(root, address, login, before)
        assert change_password(
            f"http://127.0.0.1:{root.web}",
            f"mailhost.{domain}",
            login=login,
            old=by_name,
            new=old + "-long",
            again=old + "-long",
        ).is_success
        root.vmail("user", "passwd", f"{login}@{domain}", "--password-stdin", stdin=old)


def test_fifty_editors_at_the_same_time_lose_nothing(web: Served) -> None:
    base = f"http://127.0.0.1:{web.root.web}"
    made = web.root.vmail("token", "add", "editors", "--for", "alice@va.toto.fr").stdout.strip()

    def edit(number: int) -> list[str]:
        """What was refused."""
        client = httpx.Client(
            base_url=f"{base}/api/v1/domains/vc.toto.fr",
            headers={"authorization": f"Bearer {made}"},
            timeout=90,
            verify=False,
        )
        with client:
            account = client.post("/accounts", json={"login": f"editor{number}"})
            alias = client.put(f"/aliases/list{number}", json={"targets": [f"editor{number}"]})
            return [f"{each.status_code} {each.text}" for each in (account, alias) if not each.is_success]

    with ThreadPoolExecutor(50) as pool:
        refused = [each for refusals in pool.map(edit, range(50)) for each in refusals]
    assert refused == []
    passwd = (web.root.etc / "passwd.vc.toto.fr").read_text()
    aliases = (web.root.etc / "aliases.vc.toto.fr").read_text()
    assert all(f"editor{number}:" in passwd and f"list{number}:" in aliases for number in range(50))


def test_who_guesses_passwords_holds_up_nobody_else(web: Served) -> None:
    """Wrong logins wait, longer and longer; meanwhile the pages answer everybody."""
    base = f"http://127.0.0.1:{web.root.web}"
    guess = {
        "login": "carol@vb.toto.fr",
        "old": "wrong",
        "new": "purple walrus lamps",
        "again": "purple walrus lamps",
    }
    with ThreadPoolExecutor(40) as pool:
        guesses = [pool.submit(change_password, base, "", **guess) for _ in range(40)]
        for _ in moments("no guess was answered"):
            if any(each.done() for each in guesses):
                break
        assert httpx.get(f"{base}/login", timeout=30).status_code == 200
        waiting = sum(not each.done() for each in guesses)
    assert waiting > 10, "the page came while they waited"
    assert {each.result().status_code for each in guesses} <= {409, 401, 403, 429}


def test_the_web_has_no_files_and_comes_back_when_it_dies(web: Served) -> None:
    base = f"http://127.0.0.1:{web.root.web}"
    assert httpx.get(f"{base}/login", timeout=30).is_success
    keeper = next(pid for pid in web.workers() if _children(pid))
    (child,) = _children(keeper)
    import os

    os.kill(child, signal.SIGKILL)
    for _ in moments("the web did not come back"):
        try:
            if httpx.get(f"{base}/login", timeout=5).is_success and _children_of_all(web) != [child]:
                break
        except httpx.TransportError:
            continue
    os.kill(next(pid for pid in web.workers() if _children(pid)), signal.SIGKILL)
    for _ in moments("the web did not come back"):
        try:
            if httpx.get(f"{base}/login", timeout=5).is_success:
                break
        except httpx.TransportError:
            continue


def _children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _children_of_all(web: Served) -> list[int]:
    return [child for pid in web.workers() for child in _children(pid)]


EVERY_RULE = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
"""WCAG 2.2 AA, as far as axe-core can see."""
OF_LOOKS = {
    "type": "rule",
    "values": ["color-contrast", "html-has-lang", "html-lang-valid", "link-in-text-block", "target-size"],
}
"""Those that depend on colours, width or language; the others see the same elements again."""


def check_page(page: Page, where: str, rules: object = EVERY_RULE) -> None:
    """No violation of some rules, and nothing that is wider than the screen."""
    # Nobody reads which elements are right: most of the report, and half of the work.
    found = Axe().run(page, options={"runOnly": rules, "resultTypes": ["violations"]})
    assert found.violations_count == 0, f"{where}: {found.generate_report()}"
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), f"{where} is too wide"


@pytest.mark.parametrize(
    ("language", "width", "scheme", "rules"),
    [("en", 1200, "light", EVERY_RULE), ("fr", 390, "dark", OF_LOOKS)],
    ids=["desktop", "phone"],
)
def test_every_page_is_fit_for_everybody(
    web: Served, chromium: Browser, language: str, width: int, scheme: str, rules: object
) -> None:
    base = f"http://127.0.0.1:{web.root.web}"
    context = chromium.new_context(
        locale=language,
        viewport={"width": width, "height": 800},
        color_scheme="dark" if scheme == "dark" else "light",
        bypass_csp=True,  # axe is put into the page, which its own policy forbids to everybody else
    )
    page = context.new_page()
    broken: list[str] = []
    page.on("pageerror", lambda error: broken.append(str(error)))
    for path in ("/login", "/password"):
        page.goto(base + path)
        check_page(page, path, rules)
    sign_in(page, base, "alice@va.toto.fr", "alice-va")
    assert page.url == f"{base}/domains"
    for path in (
        "/domains",
        "/new-domain",
        "/domains/va.toto.fr",
        "/domains/va.toto.fr/new-account",
        "/domains/va.toto.fr/accounts/bob",
        "/domains/va.toto.fr/import",
        "/domains/va.toto.fr/aliases",
        "/domains/va.toto.fr/settings",
        "/domains/va.toto.fr/admins",
        "/domains/va.toto.fr/check",
        "/domains/va.toto.fr/dns",
        "/overview",
        "/overview?hours=168",
        "/addresses",
        "/backups",
        "/check",
        f"/mta?server=127.0.0.1:{web.root.smtp}",
        "/tokens",
        "/domains/va.toto.fr/changes",
        "/explain?address=everyone@va.toto.fr",
        "/changes",
        "/account",
        "/account/second-factor",
        "/nowhere",
    ):
        page.goto(base + path)
        check_page(page, path, rules)
        assert page.locator("html").get_attribute("lang") == language
    assert broken == []
    context.close()


@pytest.mark.parametrize("javascript", [True, False])
def test_navigation_on_a_phone_is_a_row_and_numbers_can_be_read(
    web: Served, chromium: Browser, javascript: bool
) -> None:
    context = chromium.new_context(java_script_enabled=javascript, viewport={"width": 390, "height": 800})
    page, base = context.new_page(), f"http://127.0.0.1:{web.root.web}"
    sign_in(page, base, "alice@va.toto.fr", "alice-va")
    page.goto(f"{base}/overview")
    header = page.locator("header.top").bounding_box()
    assert header is not None
    assert header["height"] < 110
    links = page.locator(".bar nav a")
    links.first.focus()
    for number in range(links.count()):  # whoever has no mouse sees where they are
        assert links.nth(number).evaluate("link => link === document.activeElement")
        box = links.nth(number).bounding_box()
        assert box is not None
        hidden = max(-box["x"], box["x"] + box["width"] - 390, 0)
        assert hidden == 0 if javascript else hidden < box["width"] / 2
        page.keyboard.press("Tab")
    heights = page.locator(".plot .tick").evaluate_all(
        "ticks => ticks.map(tick => tick.getBoundingClientRect().height)"
    )
    assert len(heights) > 8
    assert min(heights) >= 12
    page.goto(f"{base}/account")
    last = page.locator(".bar nav a[aria-current]").bounding_box()
    assert last is not None
    assert not javascript or last["x"] + last["width"] <= 390, "the page that one is on is in sight"
    page.goto(f"{base}/domains/va.toto.fr/changes")
    tabs = page.locator(".tabs").bounding_box()
    assert tabs is not None
    assert tabs["height"] < 70
    context.close()


@pytest.mark.parametrize("javascript", [True, False])
@pytest.mark.parametrize("language", ["en", "fr"])
def test_a_co_administrator_s_day(web: Served, chromium: Browser, language: str, javascript: bool) -> None:
    """Sign in, make an account and an alias, ask where it goes, sign out; then its owner comes."""
    root, name = web.root, f"{language}{'js' if javascript else ''}"
    root.vmail("admin", "grant", "bob@vb.toto.fr", "vb.toto.fr")
    base = f"http://127.0.0.3:{root.web}"
    context = chromium.new_context(locale=language, java_script_enabled=javascript)
    page = context.new_page()
    sign_in(page, base, "bob", "bob-vb")
    assert page.url == f"{base}/domains"
    follow(page, "tbody a")
    follow(page, "a.primary")
    page.fill("#login", f"new{name}")
    page.fill("#full_name", f"Somebody {name}")
    page.fill("#password", "purple walrus lamps")
    if javascript:
        page.locator("#password").press("End")
        page.locator("#password").type("!")
        page.wait_for_selector("[data-strength]:not([hidden])")
    follow(page, "form.card button.primary")
    page.wait_for_selector(f"text=new{name}")
    page.goto(f"{base}/domains/vb.toto.fr/aliases")
    page.fill("#alias", f"team{name}")
    page.fill("#targets", f"new{name}\nbob")
    follow(page, "form.card button.primary")
    assert page.locator("table caption").is_visible()  # where mail would go
    follow(page, "main form button.primary")
    page.wait_for_selector(f"text=team{name}")
    page.goto(f"{base}/explain?address=team{name}@vb.toto.fr")
    assert page.locator("svg.graph .goal").count() == 2
    follow(page, "header button")
    page.wait_for_url("**/login")
    password = "purple walrus lamps" + ("!" if javascript else "")
    assert can_log_in(root, "127.0.0.3", f"new{name}", password)
    sign_in(page, base, f"new{name}", password)
    assert page.url == f"{base}/account"
    page.fill("#text", "Je suis en vacances." if language == "fr" else "I am on holiday.")
    follow(page, "form[action='/account/vacation'] button.primary")
    page.wait_for_selector(".flash")
    assert page.locator("form[action='/account/vacation'] .tag").is_visible()
    context.close()


@pytest.mark.parametrize(("language", "javascript"), [("en", True), ("fr", False)])
def test_a_list_of_accounts(
    web: Served, chromium: Browser, tmp_path: Path, language: str, javascript: bool
) -> None:
    base = f"http://127.0.0.1:{web.root.web}"
    page = visitor(chromium, language, 390, javascript=javascript)
    people = "".join(f"{language}{number};P. {number};quite a secret\n" for number in range(60))
    file = tmp_path / "people.csv"
    file.write_text(f"\ufefflogin;full_name;password\nbob;Bob;\n{people}", encoding="utf-8")
    sign_in(page, base, "alice@va.toto.fr", "alice-va")
    page.goto(f"{base}/domains/vc.toto.fr/import")
    page.set_input_files("#file", file)
    follow(page, "form.card button.primary")
    page.wait_for_url("**/import/*")
    assert page.locator("tbody tr").count() == 61
    assert page.locator("tbody .bad").count() == 1
    if javascript:
        check_page(page, "the rows")
    follow(page, "main form button.primary")
    page.wait_for_selector(".good", timeout=60_000)  # the page looks again by itself
    assert "60" in page.locator(".good").inner_text()
    assert can_log_in(web.root, ADDRESSES["vc.toto.fr"], f"{language}59", "quite a secret")
    page.context.close()


@pytest.mark.parametrize(
    ("domain", "language", "width", "javascript"),
    [("va.toto.fr", "en", 1200, True), ("vc.toto.fr", "fr", 390, False)],
    ids=["desktop", "phone"],
)
def test_a_second_factor_from_the_qr_code_to_the_lost_telephone(
    web: Served, chromium: Browser, domain: str, language: str, width: int, javascript: bool
) -> None:
    base, password = f"http://{ADDRESSES[domain]}:{web.root.web}", f"bob-{domain[:2]}"
    page = visitor(chromium, language, width, javascript=javascript)

    def fits(where: str) -> None:
        if javascript:  # axe is a script itself
            check_page(page, where)

    sign_in(page, base, "bob", password)
    follow(page, "a[href='/account/second-factor']")
    page.fill("#password", password)
    follow(page, "button[value=begin]")
    fits("the QR code")
    assert page.locator("img.qr").evaluate("image => image.naturalWidth") > 100
    secret = page.locator("code.secret").inner_text().replace(" ", "")
    page.fill("#code", TOTP(secret).now())
    follow(page, "button[value=confirm]")
    fits("the recovery codes")
    codes = page.locator(".codes code").all_inner_texts()
    assert len(codes) == 10
    page.goto(f"{base}/account/second-factor")
    fits("the second factor")
    follow(page, "header button")
    sign_in(page, base, "bob", password)
    assert page.url == f"{base}/login/code"
    fits("the code")
    page.fill("#code", codes[0])
    follow(page, "main button")
    page.wait_for_url("**/account")
    principal = f"bob@{domain}"
    assert "has a second factor and 9 recovery codes" in web.root.vmail("admin", "second-factor", principal).stdout
    assert "Done" in web.root.vmail("admin", "second-factor", principal, "--reset").stdout
    follow(page, "header button")
    sign_in(page, base, "bob", password)
    assert page.url == f"{base}/account"
    page.context.close()


@pytest.mark.parametrize(
    ("domain", "language", "width", "javascript"),
    [("va.toto.fr", "en", 1200, True), ("vb.toto.fr", "fr", 390, True), ("vc.toto.fr", "fr", 390, False)],
    ids=["desktop", "phone", "phone without JavaScript"],
)
def test_a_check_from_the_button_to_what_is_mended(
    web: Served, chromium: Browser, domain: str, language: str, width: int, javascript: bool
) -> None:
    page = visitor(chromium, language, width, javascript=javascript)
    base = f"http://127.0.0.1:{web.root.web}"
    sign_in(page, base, "alice@va.toto.fr", "alice-va")
    shadow = web.root.etc / f"shadow.{domain}"
    shadow.chmod(0o666)
    for path in (f"/domains/{domain}/check", "/check"):
        page.goto(base + path)
        follow(page, "button[value=start]")
        page.wait_for_selector("button[value=start]", timeout=90_000)  # the page looks again by itself
        assert page.url == base + path
        expect(page.locator("time")).to_have_count(1)
        expect(page.locator(".findings .error", has_text=shadow.name)).to_have_count(1)
        if javascript:  # axe is a script itself
            check_page(page, path)
    page.goto(f"{base}/domains/{domain}/check")
    follow(page, "button[value=fix]")
    assert page.locator("main li", has_text=shadow.name).count() == 1
    assert shadow.stat().st_mode & 0o777 == 0o666
    if javascript:
        check_page(page, "what would be mended")
    page.fill("#password", "alice-va")
    follow(page, "main form button.danger")
    page.wait_for_selector(".flash")
    assert shadow.stat().st_mode & 0o777 == 0o660
    page.wait_for_selector("button[value=start]", timeout=90_000)
    page.wait_for_load_state()
    assert page.locator(".findings .error", has_text=shadow.name).count() == 0
    page.context.close()


@pytest.mark.parametrize(
    ("domain", "language", "width", "javascript"),
    [("vb.toto.fr", "en", 1200, True), ("vc.toto.fr", "fr", 390, True), ("va.toto.fr", "fr", 390, False)],
    ids=["desktop", "phone", "phone without JavaScript"],
)
def test_a_backup_with_mail_undoes_what_was_done_since(
    web: Served, chromium: Browser, domain: str, language: str, width: int, javascript: bool
) -> None:
    root = web.root
    page = visitor(chromium, language, width, javascript=javascript)
    base = f"http://127.0.0.1:{root.web}"
    sign_in(page, base, "alice@va.toto.fr", "alice-va")
    page.goto(f"{base}/domains/{domain}/settings")
    follow(page, f"a[href='/backups?domain={domain}']")
    assert page.input_value("#domain") == domain
    page.check("#mail")
    follow(page, "button[value=make]")
    row = page.locator("tbody tr", has_text=domain)
    row.wait_for(timeout=60_000)  # the page looks again by itself
    if javascript:  # axe is a script itself
        check_page(page, "the backups")
    aliases = root.etc / f"aliases.{domain}"
    before, login = aliases.read_text(), (root.etc / f"passwd.{domain}").read_text().partition(":")[0]
    stored = root.stored(f"{login}@{domain}")
    aliases.write_text(f"{before}mistake{language}: {login}\n")
    for path in root.mailbox(f"{login}@{domain}").rglob("*,S=*"):
        path.unlink()
    follow(page, row.locator("button[value=restore_mail]"))
    assert page.locator("td", has_text=f"mistake{language}@{domain}").count() == 1
    if javascript:
        check_page(page, "what would come back")
    page.fill("#password", "alice-va")
    follow(page, "main form button.danger")
    page.locator("p.good").wait_for(timeout=60_000)
    assert aliases.read_text() == before
    assert root.stored(f"{login}@{domain}") == stored
    page.goto(f"{base}/backups?domain={domain}")
    follow(page, row.locator("button[value=remove]"))
    page.fill("#password", "alice-va")
    follow(page, "main form button.danger")
    page.wait_for_selector(".flash")
    page.goto(f"{base}/backups?domain={domain}")
    assert page.locator("p.empty").is_visible()
    page.context.close()


ZONE = "$TTL 600\n@ IN SOA ns hostmaster 41 3h 1h 1w 1h\n@ IN NS ns\nns A 127.0.0.1\n"


@pytest.mark.parametrize(
    ("domain", "language", "width", "javascript"),
    [("va.toto.fr", "en", 1200, True), ("vb.toto.fr", "fr", 390, False)],
    ids=["desktop", "phone without JavaScript"],
)
def test_dns_records_are_written_after_a_look(
    web: Served, chromium: Browser, domain: str, language: str, width: int, javascript: bool
) -> None:
    folder = web.root.path / "etc/bind"
    folder.mkdir(exist_ok=True)
    zone = folder / "db.toto.fr"
    zone.write_text(ZONE)
    (folder / "named.conf").write_text('zone "toto.fr" { type primary; file "/etc/bind/db.toto.fr"; };\n')
    page = visitor(chromium, language, width, javascript=javascript)
    base = f"http://127.0.0.1:{web.root.web}"
    sign_in(page, base, "alice@va.toto.fr", "alice-va")
    page.goto(f"{base}/domains/{domain}/dns")
    follow(page, "button[value=apply]")
    shown = page.locator("main pre", has_text="db.toto.fr").last
    assert f"mailhost.{domain.removesuffix('.toto.fr')}" in shown.inner_text()
    assert zone.read_text() == ZONE
    if javascript:  # axe is a script itself
        check_page(page, "what would be written")
    follow(page, "main form button.primary")
    page.wait_for_selector(".flash")
    assert f"mailhost.{domain.removesuffix('.toto.fr')}" in zone.read_text()
    follow(page, "button[value=apply]")
    page.wait_for_selector("main .warnings")  # of what no zone file here holds
    assert page.locator("main form").count() == 0, "nothing is left to be written"
    page.context.close()


@pytest.mark.parametrize(
    ("language", "width", "javascript"),
    [("en", 1200, True), ("fr", 390, False)],
    ids=["desktop", "phone without JavaScript"],
)
def test_addresses_that_are_not_up_are_told_with_the_remedy(
    web: Served, chromium: Browser, language: str, width: int, javascript: bool
) -> None:
    page = visitor(chromium, language, width, javascript=javascript)
    base = f"http://127.0.0.1:{web.root.web}"
    sign_in(page, base, "alice@va.toto.fr", "alice-va")
    page.goto(f"{base}/addresses")
    assert page.locator("tbody .tag.ok").count() >= len(ADDRESSES)
    follow(page, "button.primary")
    page.wait_for_selector(".flash")  # on loopback they are up already
    definition = web.root.etc / "domains/vz.example.toml"
    definition.write_text('addresses = ["192.0.2.9"]\n')
    page.goto(f"{base}/addresses")
    follow(page, "button[value='vz.example']")
    assert "vmail.toml" in page.locator(".alert").inner_text()
    assert page.locator("tbody .tag.bad").count() == 1
    if javascript:
        check_page(page, "an address that is not up")
    definition.unlink()
    page.context.close()
