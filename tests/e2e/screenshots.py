"""The pictures of docs/web.md: `make screenshots` takes them anew of a demo, and a test sees that they still fit.

What depends on the machine, the folder of the demo and its ports, is shown as it is on a usual one.
"""

from __future__ import annotations

import json
import math
import struct
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, Page
from tests.e2e.browser import running_chromium, sign_in
from tests.served import COMMANDS, Ports, Root, Served, copy_root, run, start

from vmaild.store.figures import STEP, Figures, FiguresLog
from vmaild.store.layout import Layout

IMAGES = Path(__file__).parents[2] / "docs/images"
LIST = IMAGES / "pictures.json"
"""The headings of the page that each shows."""
PEOPLE = (
    "Ana Costa", "Amélie Roux", "Karim Benali", "Chloé Petit", "Denis Faure", "Élise Garnier", "Hugo Lambert",
    "Inès Moulin", "Jonas Weber", "Léa Fontaine", "Nina Rossi", "Paul Girard", "Sofia Lindqvist", "Tom Baker",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Picture:
    """How one is taken."""

    name: str
    path: str
    language: str
    width: int
    height: int
    dark: bool = False
    login: str = "alice@va.toto.fr"
    password: str = "alice-va"

    @property
    def file(self) -> Path:
        """Where it is kept."""
        return IMAGES / f"{self.name}.png"


PICTURES = (
    Picture("overview", "/overview", "en", 920, 620),
    Picture("accounts", "/domains/va.toto.fr", "fr", 920, 560, dark=True),
    Picture("explain", "/explain?address=everyone@va.toto.fr", "en", 960, 600),
    Picture("accounts-phone", "/domains/va.toto.fr", "en", 390, 640),
    Picture("account-phone", "/account", "fr", 390, 760, dark=True, login="bob@va.toto.fr", password="bob-va"),
)


@contextmanager
def demo(folder: Path, free_port: Callable[[], int]) -> Iterator[Served]:
    """A served demo in which something has happened."""
    run(COMMANDS / "vmail", "--root", folder / "demo", "init", "--demo", check=True)
    root = copy_root(folder / "demo", folder / "root", [free_port() for _ in range(4)])
    _populate(root)
    served = start(root)
    try:
        yield served
    finally:
        served.stop()


def _populate(root: Root) -> None:
    passwd, shadow = root.etc / "passwd.va.toto.fr", root.etc / "shadow.va.toto.fr"
    line = next(each for each in shadow.read_text().splitlines() if each.startswith("bob:"))
    logins = {name.split()[0].lower().translate(str.maketrans("éè", "ee")): name for name in PEOPLE}
    with passwd.open("a") as accounts, shadow.open("a") as passwords:
        for login, name in logins.items():
            accounts.write(f"{login}:x:60000:60000:{name}:/vhome/va.toto.fr/{login}:/usr/sbin/nologin\n")
            passwords.write(line.replace("bob:", f"{login}:", 1) + "\n")
    log, now = FiguresLog(Layout(str(root.path))), int(time.time())
    for number in range(24 * 3600 // STEP):
        busy = 1.2 + math.sin(number * STEP / 86400 * 2 * math.pi + 1)
        figures = Figures(int(40 * busy), number % 7 // 6, int(6 * busy) % 5, int(25 * busy), number % 3)
        log.add(now - number * STEP, figures)


def show(browser: Browser, base: str, picture: Picture) -> Page:
    """Open the page of a picture, as somebody who may see it."""
    context = browser.new_context(
        locale=picture.language,
        viewport={"width": picture.width, "height": picture.height},
        color_scheme="dark" if picture.dark else "light",
        reduced_motion="reduce",
    )
    page = context.new_page()
    sign_in(page, base, picture.login, picture.password)
    page.goto(base + picture.path)
    return page


def headings(page: Page) -> list[str]:
    """What stands above the parts of a page."""
    return [text for text in page.locator("main h1, main h2, main th[scope=col]").all_inner_texts() if text]


def _take(page: Page, picture: Picture, root: Root) -> None:
    usual = [(str(root.path), ""), (str(root.pop3), "110"), (str(root.smtp), "587")]
    page.evaluate(
        """usual => {
            const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
            while (walk.nextNode())
                for (const [here, there] of usual)
                    walk.currentNode.data = walk.currentNode.data.replaceAll(here, there);
        }""",
        usual,
    )
    picture.file.write_bytes(smaller(page.screenshot(animations="disabled")))


def smaller(png: bytes) -> bytes:
    """The same picture in fewer octets: packed as well as can be, and no more than what shows it (PNG, 11.2)."""
    place, kept, data = 8, {}, b""
    while place < len(png):
        (size,) = struct.unpack_from("!I", png, place)
        kind, content = png[place + 4 : place + 8], png[place + 8 : place + 8 + size]
        if kind == b"IDAT":
            data += content
        elif kind in (b"IHDR", b"PLTE"):
            kept[kind] = content
        place += size + 12
    chunks = [*kept.items(), (b"IDAT", zlib.compress(zlib.decompress(data), 9)), (b"IEND", b"")]
    return png[:8] + b"".join(
        struct.pack("!I", len(content)) + kind + content + struct.pack("!I", zlib.crc32(kind + content))
        for kind, content in chunks
    )


def main() -> None:
    """Take all of them."""
    IMAGES.mkdir(exist_ok=True)
    taken = {}
    with (
        tempfile.TemporaryDirectory(prefix="vs") as folder,
        running_chromium() as browser,
        demo(Path(folder), Ports("").take) as served,
    ):
        for picture in PICTURES:
            page = show(browser, f"http://127.0.0.1:{served.root.web}", picture)
            taken[picture.file.name] = headings(page)
            _take(page, picture, served.root)
            print(f"{picture.file.stat().st_size:7,} {picture.file.name}")
    LIST.write_text(json.dumps(taken, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
