"""The page in a real browser: nothing wrong by axe-core, nothing wider than the screen, keyboard, copy, no script."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.agent import pages
from tests.agent import worlds as w
from tests.e2e import browser as b

pytestmark = [pytest.mark.slow, pytest.mark.browser]

EVIL = pages.EVIL.replace("\x00", "")
SCENES: Mapping[str, Callable[[], pages.Scene]] = {
    "shop": pages.shop,
    "wildcard": pages.wildcard,
    "empty": lambda: pages.EMPTY,
    "huge": lambda: pages.huge(60),
    "hostile": lambda: pages.hostile(EVIL),
}
OPEN = "for (const each of document.querySelectorAll('details')) each.open = true"
FOREIGN = """() => [...document.querySelectorAll(
  'script:not([src^="/static/"]), style, img, iframe, object, embed, base')].map(each => each.outerHTML)"""
LISTS = ("/", "/roles", "/workloads", "/findings", "/calls", "/sign-in", "/role?arn=nobody")
OF = {
    "shop": (f"/role?arn={quote(w.role_arn('orders'))}", "/workload?name=thumbs/app"),
    "wildcard": ("/role?arn=everything",),
    "empty": (),
    "huge": ("/role?arn=role7", "/workload?name=role7/app", "/roles?page=2"),
    "hostile": (f"/role?arn={quote(w.role_arn(EVIL))}", f"/workload?name={quote(f'{EVIL}/{EVIL}')}"),
}  # fmt: skip


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with b.browser() as running:
        yield running


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], str]]:
    """Serve a data set's page, once; gives its address."""
    with ExitStack() as stack:

        @cache
        def start(scene: str) -> str:
            source = stack.enter_context(pages.source_of(SCENES[scene](), tmp_path_factory.mktemp(scene)))
            return stack.enter_context(b.served(source, pages.TRACE_URL))

        yield start


@pytest.fixture(scope="module")
def shop(site: Callable[[str], str]) -> str:
    return site("shop")


def views(scene: str, address: str, page: Page) -> list[str]:
    found = [*LISTS, *OF[scene]]
    page.goto(f"{address}/findings")
    finding = page.locator(".finding h3 a").first
    if finding.count():
        found.append(finding.get_attribute("href") or "")
    return found


ONCE = (("shop", "light", 1280), ("hostile", "dark", 390))
ALL = [(scene, scheme, width) for scene in SCENES for scheme in b.SCHEMES for width in b.WIDTHS]


@pytest.mark.parametrize(
    ("scene", "scheme", "width"),
    [pytest.param(*each, marks=() if each in ONCE else pytest.mark.verify) for each in ALL],
)
def test_every_view_is_accessible_fits_the_screen_and_runs_nothing_foreign(
    chromium: Browser, site: Callable[[str], str], scene: str, scheme: str, width: int
) -> None:
    with b.opened(chromium, width, scheme) as page:
        for view in views(scene, site(scene), page):
            page.goto(site(scene) + view)
            for prepare in ("0", OPEN):
                page.evaluate(prepare)
                for each in (*b.WIDTHS, width):
                    page.set_viewport_size({"width": each, "height": 900})
                    assert page.evaluate("document.documentElement.scrollWidth") <= each, view
            assert page.evaluate(FOREIGN) == [], view
            assert b.violations(page) == [], view


def test_a_hostile_name_is_read_as_it_is(chromium: Browser, site: Callable[[str], str]) -> None:
    with b.opened(chromium, 1280) as page:
        page.goto(f"{site('hostile')}/role?arn={quote(w.role_arn(EVIL))}")
        expect(page.locator("h1")).to_contain_text("<script>alert(1)</script>")


def test_one_gets_everywhere_by_keyboard_and_sees_where_one_is(chromium: Browser, shop: str) -> None:
    with b.opened(chromium, 1280) as page:
        page.goto(f"{shop}/")
        page.keyboard.press("Tab")
        expect(page.locator(":focus")).to_have_text("Skip to content")
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "main"
        page.keyboard.press("Tab")
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid"
        page.get_by_role("link", name="Workloads").focus()
        page.keyboard.press("Enter")
        expect(page.locator("h1")).to_have_text("Workloads: who signs with what")
        page.locator("svg.flow a.wrong").first.focus()
        page.keyboard.press("Enter")
        expect(page.locator("h1")).to_have_text("thumbs/app")


def test_filters_work_without_a_script_and_are_in_the_address(chromium: Browser, shop: str) -> None:
    with b.opened(chromium, 390, java_script_enabled=False) as page:
        page.goto(f"{shop}/calls")
        page.get_by_label("Action or resource").fill("photos")
        page.get_by_role("button", name="Apply").click()
        expect(page.locator("table.calls tbody tr")).to_have_count(1)
        assert "q=photos" in page.url
        assert page.locator(".live").is_hidden()
        page.goto(f"{shop}/role?arn=orders")
        assert page.get_by_role("button", name="Copy the diff").count() == 0


def test_the_policy_can_be_copied_and_downloaded(chromium: Browser, shop: str) -> None:
    with b.opened(chromium, 1280, permissions=["clipboard-read", "clipboard-write"]) as page:
        page.goto(f"{shop}/role?arn=orders")
        button = page.get_by_role("button", name="Copy the diff")
        button.click()
        expect(page.locator("button.copy[data-copy]")).to_have_text("Copied")
        assert "+++ p" in page.evaluate("navigator.clipboard.readText()")
        with page.expect_download() as started:
            page.get_by_role("link", name="Terraform").click()
        assert started.value.suggested_filename == "orders.tf"


def test_live_calls_come_by_themselves(chromium: Browser, tmp_path: Path) -> None:
    scene = pages.shop()
    moments = []
    for name, batches in (("before", scene.batches[:1]), ("after", scene.batches)):
        folder = tmp_path / name
        folder.mkdir()
        with pages.source_of(scene._replace(batches=batches), folder) as source:
            moments.append(source())
    shown = moments[:1]
    with b.served(lambda: shown[-1]) as site, b.opened(chromium, 1280) as page:
        page.clock.install()
        page.goto(f"{site}/calls")
        page.get_by_label("Live").check()
        rows = page.locator("table.calls tbody tr")
        expect(rows).to_have_count(4)
        shown += moments[1:]
        for _ in range(1_000):  # the timer is set once the first answer is there
            page.clock.run_for(4_000)
            if rows.count() == 5:
                break
        expect(rows).to_have_count(5)
