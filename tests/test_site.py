"""The built site in a real browser; `make check-site` builds it and runs this."""

import functools
import http.server
import json
import os
import re
import shutil
import threading
from pathlib import Path

import pytest
import yaml

import tradeoffs

ROOT = Path(__file__).parent.parent
SITE = ROOT / "build" / "site"
PICTURES = SITE.parent / "screenshots"
BROWSERS = "chromium", "chromium-browser", "google-chrome"
PAGES = sorted(
    str(path.relative_to(SITE))
    for path in SITE.rglob("*.html")
    if not {"_static", "_sources"} & set(path.parts)
)
READ = [page for page in PAGES if "api/" not in page and page != "genindex.html"]
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 900}
LOOKS = {"light": (DESK, "light"), "dark": (DESK, "dark"), "phone": (PHONE, "light")}
CHROMIUM = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update"),
]


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def address():
    handler = functools.partial(Quiet, directory=SITE)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None and not os.environ.get("CI"):
        pytest.skip(f"no browser: install one of {', '.join(BROWSERS)}")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=CHROMIUM)
        yield browser
        browser.close()


@pytest.fixture
def page(browser, address):
    """A page that fails the test on an error, or on a request to elsewhere."""
    wrong = []
    page = browser.new_page(viewport=DESK)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda said: said.type == "error" and wrong.append(said.text))
    page.on(
        "request",
        lambda asked: (
            asked.url.startswith((address, "data:", "blob:")) or wrong.append(asked.url)
        ),
    )
    yield page
    page.close()
    assert wrong == []


def test_there_are_pages():
    assert len(READ) >= 15, "run 'make site'"
    size = sum(path.stat().st_size for path in SITE.rglob("*") if path.is_file())
    assert size < 30 * 2**20


def test_every_public_name_is_in_the_reference_once():
    text = (SITE / "docs" / "api.html").read_text(encoding="utf-8")
    summaries = re.findall(r'title="tradeoffs\.(\w+)"><code', text)
    values = re.findall(r'<dt class="[^"]*" id="tradeoffs\.(\w+)">', text)
    assert sorted(summaries + values) == sorted(tradeoffs.__all__)


@pytest.mark.parametrize("name", PAGES)
def test_page_loads_in_every_look_and_scrolls_no_page_sideways(page, address, name):
    page.goto(f"{address}/{name}", wait_until="load")
    assert page.title()
    for look in LOOKS if name in READ else ():
        _picture(page, name, look)
    page.set_viewport_size(PHONE)
    # Pictures far down the page load when they are reached, or here.
    page.evaluate("Promise.all([...document.images].map(i => i.decode()))")
    assert page.evaluate("[...document.images].every(i => i.alt)")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def _picture(page, name, look):
    PICTURES.mkdir(parents=True, exist_ok=True)
    size, mode = LOOKS[look]
    page.set_viewport_size(size)
    page.emulate_media(color_scheme=mode)
    page.wait_for_function(
        "it => document.documentElement.dataset.theme == it", arg=mode
    )
    page.wait_for_function("document.querySelectorAll('.chart:empty').length == 0")
    picture = PICTURES / f"{Path(name).stem}-{look}.png"
    # A whole page takes a second, and in CI nobody looks at it.
    page.screenshot(path=picture, full_page=not os.environ.get("CI"))
    assert picture.stat().st_size > 5_000


def test_search_finds_a_term_on_the_right_pages(page, address):
    page.goto(f"{address}/search.html?q=global+average+pooling")
    page.wait_for_selector("ul.search li a")
    page.wait_for_load_state("networkidle")
    found = page.eval_on_selector_all("ul.search li a", "all => all.map(a => a.href)")
    assert any("04_gap_slimming" in link for link in found)
    assert not any("01_keras_baselines" in link for link in found)


def test_the_table_of_all_claims_keeps_the_rows_that_are_asked_for(page, address):
    page.goto(f"{address}/notebooks/10_verdicts.html")
    rows = page.locator(".filter + table > tbody > tr:visible")
    assert rows.count() == len(tradeoffs.claims())
    page.fill(".filter", "Batch Norm")
    found = rows.all_inner_texts()
    assert 2 <= len(found) < 10
    assert all("batch norm" in text.lower() for text in found)


def test_moving_the_accuracy_slider_greys_what_no_longer_fits(page, address):
    page.goto(f"{address}/notebooks/09_decide.html")
    slider = page.locator(".chart input[name=min_accuracy]")
    chart = page.locator(".chart svg")

    def fits(accuracy):
        slider.evaluate(
            "(it, to) => { it.value = to; it.dispatchEvent(new Event('input')); }",
            str(accuracy),
        )
        page.wait_for_timeout(300)
        grey = chart.locator("path[aria-roledescription=point][fill='#bbbbbb']")
        return chart.locator(
            "text", has_text=re.compile("^fits$")
        ).count(), grey.count()

    before, after = fits(98), fits(99.9)
    assert before == (2, 3)
    assert after == (0, 5)


NOTEBOOKS = sorted(SITE.glob("notebooks/*.html"))


@pytest.mark.parametrize("name", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebook_has_its_neighbours_contents_copies_and_download(page, address, name):
    page.goto(f"{address}/notebooks/{name.name}")
    assert page.locator(".prev-next-area a").count() == 2
    assert page.locator(".bd-sidebar-secondary .nav-link").count() > 5
    assert page.locator("button.copybtn").count() > 5
    link = page.locator("a.btn-download-source-button").get_attribute("href")
    assert link.endswith(f"{name.stem}.ipynb")
    downloaded = json.loads((name.parent / link).read_text(encoding="utf-8"))
    assert downloaded["nbformat"] == 4


def test_the_panel_works_on_a_page_that_is_opened_from_a_disk(browser):
    page = browser.new_page()
    page.goto((SITE / "notebooks" / "09_decide.html").as_uri())
    page.wait_for_selector(".chart svg")
    page.close()


def test_github_builds_the_pages_with_the_make_targets():
    workflow = yaml.safe_load((ROOT / ".github/workflows/pages.yml").read_text())
    steps = workflow["jobs"]["site"]["steps"]
    commands = [step["run"] for step in steps if "run" in step]
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert commands
    assert {command.removeprefix("make ") for command in commands} <= set(targets)
    (uploaded,) = [step["with"]["path"] for step in steps if "upload" in str(step)]
    assert ROOT / uploaded == SITE
