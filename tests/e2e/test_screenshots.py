"""The pictures of docs/web.md are there, are small, and show pages as they still are."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser
from tests.e2e.screenshots import IMAGES, LIST, PICTURES, Picture, demo, headings, show, smaller
from tests.served import Served

ANEW = "take them anew: make screenshots"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]) -> Iterator[Served]:
    with demo(tmp_path_factory.mktemp("s"), free_port) as served:
        yield served


@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.name)
def test_a_picture_shows_the_page_as_it_is(site: Served, chromium: Browser, picture: Picture) -> None:
    page = show(chromium, f"http://127.0.0.1:{site.root.web}", picture)
    found = headings(page)
    assert found
    assert found == json.loads(LIST.read_text(encoding="utf-8"))[picture.file.name], ANEW
    page.context.close()


def test_every_picture_is_there_small_and_in_the_text() -> None:
    text = (IMAGES.parent / "web.md").read_text(encoding="utf-8")
    for picture in PICTURES:
        assert 5_000 < picture.file.stat().st_size < 60_000, picture.name
        assert f"(images/{picture.file.name})" in text
    assert {path.stem for path in IMAGES.glob("*.png")} == {picture.name for picture in PICTURES}


def test_a_packed_picture_is_the_same(chromium: Browser, tmp_path: Path) -> None:
    page = chromium.new_page()
    page.set_content("<h1>Picture</h1><meter value=0.4></meter>")
    taken = page.screenshot()
    size = page.evaluate(
        """async both => {
            const [one, other] = await Promise.all(both.map(async data => {
                const image = new Image();
                image.src = "data:image/png;base64," + data;
                await image.decode();
                const canvas = new OffscreenCanvas(image.width, image.height);
                const place = canvas.getContext("2d");
                place.drawImage(image, 0, 0);
                return place.getImageData(0, 0, image.width, image.height).data;
            }));
            return one.length > 0 && one.length === other.length && one.every((each, at) => each === other[at]);
        }""",
        [_base64(taken), _base64(smaller(taken))],
    )
    assert size is True
    assert len(smaller(taken)) <= len(taken)
    page.close()


def _base64(data: bytes) -> str:
    from base64 import b64encode

    return b64encode(data).decode()
