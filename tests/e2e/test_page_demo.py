"""The demo's page, from the agent's own process: what was planted leaps to the eye, and nothing else does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, expect

from examples.demo import agent, play
from tests.e2e import browser as b
from tests.e2e.worlds import Played

pytestmark = [pytest.mark.slow, pytest.mark.browser]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with b.browser() as running:
        yield running


@pytest.mark.parametrize("played", ["default"], ids="world={}".format, indirect=True)
def test_the_demos_page_shows_what_was_planted(played: Played, chromium: Browser) -> None:
    play.snapshot(played.world, played.files)
    with agent.serving(played.files.db, 0, *played.files.shown()) as serving:
        while (answered := httpx.get(f"{serving.url}/api/findings", timeout=120)).status_code == 503:
            pass  # the first comparison is still being made
        answer = answered.json()
        found = Counter(each["id"] for group in answer["groups"] for each in group["findings"])
        assert found == Counter(finding.id for finding in played.expected)
        assert httpx.post(f"{serving.url}/v1/logs").status_code == 404  # OTLP is served beside it
        with b.opened(chromium, 1280) as page:
            page.goto(f"{serving.url}/")
            page.get_by_role("link", name="Workloads").click()
            wrong = page.locator("tr.wrong th")
            expect(wrong).to_have_text(["thumbnailer/thumbnailer", "cron/cron"])
            wrong.first.get_by_role("link").click()
            expect(page.locator("main")).to_contain_text("signs with what belongs to the host that it runs on")
            page.goto(f"{serving.url}/calls?q=GetObject")
            assert page.locator("table.calls tbody tr").count() > 1
            assert page.get_by_text("trace ").count() > 1
            assert b.violations(page) == []
