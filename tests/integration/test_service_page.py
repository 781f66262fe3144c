# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of the service in a real browser, against the service that `make serve` starts."""

from __future__ import annotations

import collections.abc
import itertools
import json
import os
import re
import shutil
import tarfile
import typing as t
import zipfile
from pathlib import Path

import httpx2
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from .support.axe import axe_script, violations
from .support.fixed_answer import FixedAnswer, manifest
from .support.function_project import component
from .support.hosted_service import HostedService

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed: apt-get install chromium")

LONG = 120_000
"""Milliseconds that anything in a browser may take on a machine with much else to do."""

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> collections.abc.Iterator[HostedService]:
    with HostedService(tmp_path_factory.mktemp("service")) as started:
        yield started


@pytest.fixture(scope="module")
def browser() -> collections.abc.Iterator[Browser]:
    with sync_playwright() as playwright:
        options = ["--no-sandbox"] if os.geteuid() == 0 else []
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=options, timeout=LONG)
        expect.set_options(timeout=LONG)
        yield started
        started.close()


class Visitor:
    """A person with a browser of their own, signed in for a tenant of their own."""

    def __init__(self, browser: Browser, service: HostedService, **options: t.Any) -> None:
        self.service = service
        self.tenant = f"visitor-{next(_numbers)}"
        # The name, as people are told to use: the page leads them there from the address.
        self.url = service.address.replace("127.0.0.1", "localhost")
        self.context: BrowserContext = browser.new_context(base_url=self.url, **options)
        self.context.set_default_timeout(LONG)
        self.page = self.tab()
        self.problems: list[str] = []

    def tab(self) -> Page:
        """Another tab. What its console complains about is a failure of the test."""
        page = self.context.new_page()
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("console", lambda message: self.problems.append(message.text) if _is_bad(message) else None)
        return page

    def token(self, role: str = "deploy") -> str:
        """A new token for the visitor's tenant."""
        wanted = {"name": self.tenant, "tenant": self.tenant, "role": role}
        with self.service.client() as client:
            return str(client.post("/v1/tokens", json=wanted).raise_for_status().json()["token"])

    def sign_in(self, role: str = "deploy") -> Visitor:
        token = self.token(role)
        self.page.goto("/")
        self.page.get_by_label("Token").fill(token)
        self.page.get_by_role("button", name="Sign in").click()
        expect(self.page.get_by_role("heading", level=1)).to_have_text(f"Functions of {self.tenant}")
        return self

    def upload(self, project: Path, name: str = "shop", *, archive: bool = True) -> Page:
        """Deploy a project as a new function; ends on the deployment's page."""
        page = self.page
        page.goto(f"/tenants/{self.tenant}/new")
        page.get_by_label("Name of the function").fill(name)
        if archive:
            page.get_by_label("Archive").set_input_files(packed(project))
        else:
            page.get_by_label("Or a directory").set_input_files(project)
        page.get_by_role("button", name="Deploy").click()
        page.wait_for_url("**/deployments/1")
        return page

    def upload_version(self, project: Path, number: int, name: str = "shop") -> Page:
        """Deploy a new version; ends on the deployment's page."""
        page = self.page
        page.goto(f"/tenants/{self.tenant}/functions/{name}")
        page.get_by_label("Archive").set_input_files(packed(project))
        page.get_by_role("button", name="Deploy").click()
        page.wait_for_url(f"**/deployments/{number}")
        return page

    def function_url(self, name: str = "shop") -> str:
        with self.service.client() as client:
            return str(client.get(f"/v1/tenants/{self.tenant}/functions/{name}").json()["url"])

    def answer(self, name: str = "shop") -> str:
        """What the function answers now."""
        return str(httpx2.get(self.function_url(name), timeout=60).text)


def _is_bad(message: t.Any) -> bool:
    return message.type in ("error", "warning") and "Failed to load resource" not in message.text


@pytest.fixture
def visit(browser: Browser, service: HostedService) -> collections.abc.Iterator[t.Callable[..., Visitor]]:
    """Makes visitors; at the end, no page of theirs has complained."""
    visitors: list[Visitor] = []

    def make(**options: t.Any) -> Visitor:
        visitors.append(Visitor(browser, service, **options))
        return visitors[-1]

    yield make
    for visitor in visitors:
        visitor.context.close()
    assert [problem for visitor in visitors for problem in visitor.problems] == []


def packed(project: Path) -> Path:
    file = project.with_suffix(".tar.gz")
    with tarfile.open(file, "w:gz") as archive:
        archive.add(project, arcname=".")
    return file


def becomes_ready(page: Page) -> None:
    """The page says so without being loaded again."""
    expect(page.locator("#phase")).to_have_text("Ready")
    expect(page.locator(".result a")).to_have_attribute("href", re.compile("^http://127.0.0.1:"))


def drop(page: Page, *files: Path) -> None:
    """Drop files or directories of this machine as a file manager does."""
    box = page.locator("[data-drop]").bounding_box()
    assert box is not None
    session = page.context.new_cdp_session(page)
    for event in ("dragEnter", "dragOver", "drop"):
        data = {"items": [], "files": [str(file) for file in files], "dragOperationsMask": 1}
        place = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
        session.send("Input.dispatchDragEvent", {"type": event, "data": data, **place})


def test_signing_in_and_out(visit: t.Callable[..., Visitor]) -> None:
    visitor = visit()
    page = visitor.page
    page.goto(f"/tenants/{visitor.tenant}/new")
    expect(page.get_by_label("Token")).to_be_focused()
    page.get_by_label("Token").fill("wfs_wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("The token is unknown")
    page.get_by_label("Token").fill(visitor.token())
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(rf"/tenants/{visitor.tenant}/new$"))
    (cookie,) = [one for one in visitor.context.cookies() if one["name"] == "wasmfaas_session"]
    assert cookie["httpOnly"] and cookie["sameSite"] == "Strict" and cookie["expires"] == -1
    assert page.evaluate("document.cookie") == ""
    page.get_by_role("button", name="Sign out").click()
    page.goto(f"/tenants/{visitor.tenant}")
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")


def test_a_function_on_this_machine_does_not_get_the_session(visit: t.Callable[..., Visitor]) -> None:
    visitor = visit().sign_in()
    page = visitor.page
    page.goto(visitor.service.address)
    assert page.url.startswith(visitor.url)
    assert visitor.context.cookies("http://127.0.0.1:1") == []


@pytest.mark.parametrize("kind", ["directory", "zip"])
def test_a_dropped_project_is_deployed(visit: t.Callable[..., Visitor], tmp_path: Path, kind: str) -> None:
    visitor = visit().sign_in()
    page = visitor.page
    project = FixedAnswer(tmp_path / "My Shop", f"dropped {kind}").directory
    (project / "node_modules" / "huge").mkdir(parents=True)
    (project / "node_modules" / "huge" / "index.js").write_text("left out")
    (project / "assets" / "deep").mkdir(parents=True)
    for number in range(150):  # a browser lists at most 100 entries at a time
        (project / "assets" / "deep" / f"{number}.txt").write_text(str(number))
    dropped = project
    if kind == "zip":
        dropped = tmp_path / "my-shop.zip"
        with zipfile.ZipFile(dropped, "w") as archive:
            for file in ("spin.toml", "build.sh", "base.bin"):
                archive.write(project / file, f"my-shop/{file}")
    page.goto(f"/tenants/{visitor.tenant}/new")
    drop(page, dropped)
    files = 153 if kind == "directory" else 1
    expect(page.locator("[data-status]")).to_have_text(re.compile(rf"^{files} files, [0-9.]+ KiB$"))
    expect(page.get_by_label("Name of the function")).to_have_value("my-shop")
    page.get_by_role("button", name="Deploy").click()
    page.wait_for_url("**/functions/my-shop/deployments/1")
    becomes_ready(page)
    assert visitor.answer("my-shop") == f"dropped {kind}"


def test_a_refused_upload_says_why_and_keeps_what_was_entered(visit: t.Callable[..., Visitor], tmp_path: Path) -> None:
    visitor = visit().sign_in()
    page = visitor.page
    page.goto(f"/tenants/{visitor.tenant}/new")
    page.get_by_label("Name of the function").fill("api")
    page.get_by_role("button", name="Deploy").click()
    expect(page.locator("[data-alert]")).to_contain_text("Nothing was chosen")
    page.get_by_label("Archive").set_input_files(packed(FixedAnswer(tmp_path / "project").directory))
    page.get_by_role("button", name="Deploy").click()
    expect(page.locator("[data-alert]")).to_contain_text("The name 'api' is reserved for the platform.")
    expect(page.get_by_label("Name of the function")).to_have_value("api")
    page.get_by_label("Name of the function").fill("mine")
    page.get_by_role("button", name="Deploy").click()
    page.wait_for_url("**/functions/mine/deployments/1")


def test_a_template_is_edited_and_deployed(visit: t.Callable[..., Visitor]) -> None:
    visitor = visit().sign_in()
    page = visitor.page
    page.goto(f"/tenants/{visitor.tenant}/new")
    page.get_by_role("link", name="static-site").click()
    page.get_by_label("Name of the function").fill("my-site")
    expect(page.get_by_label("assets/index.html")).to_have_value(re.compile("<html"))
    write = f"import pathlib; pathlib.Path('app.wasm').write_bytes(bytes.fromhex('{component().hex()}'))"
    page.get_by_label("spin.toml").fill(manifest("edited in the page", f'python3 -c "{write}"'))
    page.get_by_role("button", name="Deploy").click()
    page.wait_for_url("**/functions/my-site/deployments/1")
    becomes_ready(page)
    assert visitor.answer("my-site") == "edited in the page"


def test_the_log_is_live_in_two_tabs_and_survives_a_reload(visit: t.Callable[..., Visitor], tmp_path: Path) -> None:
    visitor = visit().sign_in()
    gate = tmp_path / "gate"
    page = visitor.upload(FixedAnswer(tmp_path / "project", gate=gate).directory)
    log = page.locator("#log")
    expect(log).to_contain_text("step 1")
    expect(page.locator(".stages .done").first).to_contain_text("Queue")
    page.reload()
    expect(log).to_contain_text("step 1")
    expect(log).not_to_contain_text("step 2")
    other = visitor.tab()
    other.goto(page.url)
    expect(other.locator("#log")).to_contain_text("step 1")
    page.evaluate("window.sameDocument = true")
    gate.touch()
    for tab in (page, other):
        becomes_ready(tab)
        expect(tab.locator(".stages .done")).to_have_count(5)
        expect(tab.locator("#log")).to_contain_text("step 2")
        expect(tab.locator("#log")).to_contain_text("ready http://127.0.0.1:")
        lines = tab.locator("#log").inner_text().splitlines()
        assert lines.count("step 1") == lines.count("step 2") == 1
    assert page.evaluate("window.sameDocument")
    assert visitor.answer() == "first"


def test_a_failure_shows_its_cause_while_the_version_before_answers(
    visit: t.Callable[..., Visitor], tmp_path: Path
) -> None:
    visitor = visit().sign_in()
    project = FixedAnswer(tmp_path / "project")
    becomes_ready(visitor.upload(project.directory))
    project.write("second", exit_code=3)
    page = visitor.upload_version(project.directory, 2)
    expect(page.locator("#phase")).to_have_text("Failed")
    problem = page.get_by_role("alert")
    expect(problem).to_contain_text("The deployment failed")
    expect(problem).to_contain_text("sh build.sh")
    expect(problem).to_contain_text("3")
    expect(problem).to_contain_text("Next:")
    expect(page.locator(".stages .failed")).to_contain_text("Build")
    expect(page.locator("#log")).to_contain_text("step 2")
    assert visitor.answer() == "first"
    page.goto(f"/tenants/{visitor.tenant}/functions/shop")
    expect(page.locator("#version-table tbody tr").first).to_contain_text("Failed")


def test_rolling_back(visit: t.Callable[..., Visitor], tmp_path: Path) -> None:
    visitor = visit().sign_in()
    project = FixedAnswer(tmp_path / "project")
    becomes_ready(visitor.upload(project.directory))
    project.write("second")
    page = visitor.upload_version(project.directory, 2)
    becomes_ready(page)
    assert visitor.answer() == "second"
    page.goto(f"/tenants/{visitor.tenant}/functions/shop")
    expect(page.locator("#version-table tbody tr").first).to_contain_text("live")
    page.get_by_role("button", name="Roll back to deployment 1").click()
    page.wait_for_url("**/deployments/3")
    becomes_ready(page)
    assert visitor.answer() == "first"


def test_a_build_is_cancelled(visit: t.Callable[..., Visitor], tmp_path: Path) -> None:
    visitor = visit().sign_in()
    page = visitor.upload(FixedAnswer(tmp_path / "project", gate=tmp_path / "never").directory)
    expect(page.locator("#log")).to_contain_text("step 1")
    page.get_by_role("button", name="Cancel the deployment").click()
    expect(page.locator("#phase")).to_have_text("Cancelled")
    expect(page.locator("#progress")).to_contain_text("It was cancelled by")


def test_a_secret_is_set_and_never_shown_again(visit: t.Callable[..., Visitor], tmp_path: Path) -> None:
    visitor = visit().sign_in()
    becomes_ready(visitor.upload(FixedAnswer(tmp_path / "project").directory))
    page = visitor.page
    page.goto(f"/tenants/{visitor.tenant}/functions/shop")
    page.get_by_label("Name", exact=True).fill("password")
    page.get_by_label("Value").fill("correct-horse-battery")
    page.get_by_label("It is a secret").check()
    page.get_by_role("button", name="Set").click()
    page.wait_for_url("**/deployments/2")
    becomes_ready(page)
    page.goto(f"/tenants/{visitor.tenant}/functions/shop")
    expect(page.locator("main")).to_contain_text("secret, not shown")
    assert "correct-horse" not in page.content()
    page.get_by_role("button", name="Remove password").click()
    page.wait_for_url("**/deployments/3")


def test_logs_and_deleting(visit: t.Callable[..., Visitor], tmp_path: Path) -> None:
    visitor = visit().sign_in()
    becomes_ready(visitor.upload(FixedAnswer(tmp_path / "project").directory))
    page = visitor.page
    page.goto(f"/tenants/{visitor.tenant}/functions/shop")
    page.get_by_role("link", name="Logs").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Logs of shop")
    page.go_back()
    page.get_by_role("link", name="Delete").click()
    page.get_by_role("button", name="Delete shop").click()
    expect(page.locator("main")).to_contain_text("No functions yet.")


def test_everything_works_without_javascript(visit: t.Callable[..., Visitor], tmp_path: Path) -> None:
    visitor = visit(java_script_enabled=False).sign_in()
    gate = tmp_path / "gate"
    project = FixedAnswer(tmp_path / "project", gate=gate)
    page = visitor.upload(project.directory, archive=False)
    expect(page.locator("[data-drop]")).to_be_hidden()
    # The page loads itself again by <meta http-equiv="refresh">.
    expect(page.locator("#log")).to_contain_text("step 1")
    gate.touch()
    becomes_ready(page)
    expect(page.locator("#log")).to_contain_text("step 2")
    project.write("second")
    becomes_ready(visitor.upload_version(project.directory, 2))
    assert visitor.answer() == "second"
    page.goto(f"/tenants/{visitor.tenant}/functions/shop")
    page.get_by_role("button", name="Roll back to deployment 1").click()
    page.wait_for_url("**/deployments/3")
    page.get_by_role("button", name="한국어").click()
    expect(page.locator("html")).to_have_attribute("lang", "ko")
    expect(page).to_have_url(re.compile("/deployments/3$"))


def test_korean_where_the_browser_asks_for_it(visit: t.Callable[..., Visitor]) -> None:
    page = visit(locale="ko-KR").page
    page.goto("/")
    expect(page.get_by_role("heading", level=1)).to_have_text("로그인")
    page.get_by_role("button", name="English").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")


def test_the_keyboard_reaches_the_content_first(visit: t.Callable[..., Visitor]) -> None:
    page = visit().sign_in().page
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()


def test_pages_fit_on_a_phone(visit: t.Callable[..., Visitor], tmp_path: Path) -> None:
    visitor = visit(viewport={"width": 360, "height": 740}).sign_in()
    becomes_ready(visitor.upload(FixedAnswer(tmp_path / "project").directory))
    page = visitor.page
    for path in ("", "/new", "/new/hello-js", "/functions/shop", "/functions/shop/deployments/1"):
        page.goto(f"/tenants/{visitor.tenant}{path}")
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, path


@pytest.mark.parametrize("colors", ["light", "dark"])
def test_axe_finds_nothing(visit: t.Callable[..., Visitor], tmp_path: Path, colors: str) -> None:
    script = axe_script()
    visitor = visit(color_scheme=colors)
    page = visitor.page
    page.goto("/")
    found = {"sign in": violations(page, script)}
    visitor.sign_in()
    project = FixedAnswer(tmp_path / "project")
    becomes_ready(visitor.upload(project.directory))
    project.write("second", exit_code=1)
    visitor.upload_version(project.directory, 2)
    expect(page.locator("#phase")).to_have_text("Failed")
    tenant = f"/tenants/{visitor.tenant}"
    function = f"{tenant}/functions/shop"
    paths = (
        "",
        "/new",
        "/new/hello-js",
        "/functions/shop",
        "/functions/shop/logs",
        "/functions/shop/delete",
        "/nothing",
    )
    for path in [*(f"{tenant}{path}" for path in paths), f"{function}/deployments/1", f"{function}/deployments/2"]:
        page.goto(path)
        if "new" in path:
            page.get_by_text("Settings").click()
        found[path] = violations(page, script)
    project.write("third", gate=tmp_path / "never")
    visitor.upload_version(project.directory, 3)
    expect(page.locator("#log")).to_contain_text("step 1")
    found["while it is built"] = violations(page, script)
    page.get_by_role("button", name="Cancel the deployment").click()
    administrator = visit(color_scheme=colors).page
    administrator.goto("/")
    administrator.get_by_label("Token").fill(visitor.service.token)
    administrator.get_by_role("button", name="Sign in").click()
    expect(administrator.get_by_role("heading", level=1)).to_have_text("Tenants")
    administrator.goto(f"{tenant}/tokens")
    administrator.get_by_label("Name").fill(f"{visitor.tenant}-laptop")
    administrator.get_by_role("button", name="Make the token").click()
    expect(administrator.get_by_label("Token", exact=True)).not_to_have_value("")
    found["tokens"] = violations(administrator, script)
    assert {place: lines for place, lines in found.items() if lines} == {}


def test_a_page_of_another_site_changes_nothing(visit: t.Callable[..., Visitor], tmp_path: Path) -> None:
    """A function of this very machine tries to delete another one with the browser of somebody who is signed in."""
    visitor = visit().sign_in()
    becomes_ready(visitor.upload(FixedAnswer(tmp_path / "project").directory))
    target = f"{visitor.url}/tenants/{visitor.tenant}/functions/shop/delete"
    page = visitor.page
    page.goto(visitor.function_url())
    send = f"""() => {{
      const form = document.createElement("form");
      form.method = "post";
      form.action = {json.dumps(target)};
      document.documentElement.append(form);
      form.submit();
    }}"""
    with page.expect_response(target) as answered:
        page.evaluate(send)
    assert answered.value.status == 403
    assert visitor.answer() == "first"
