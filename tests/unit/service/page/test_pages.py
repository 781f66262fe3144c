# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each page shows, and that nothing hostile gets into it."""

from __future__ import annotations

import html
import html.parser
import re
import typing as t

import pytest
from ansible_collections.wasmfaas.platform.service.deployments.model import Phase
from ansible_collections.wasmfaas.platform.service.page.starters import starters
from ansible_collections.wasmfaas.platform.service.page.view import STATIC
from ansible_collections.wasmfaas.platform.service.tokens import Role
from ansible_collections.wasmfaas.platform.service.variables import Variable

from .conftest import HOST, Page

HOSTILE = "</pre><script>alert(1)</script><img src=x onerror=alert(2)>\"'&"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'"
)
EVERY_PAGE = [
    "/",
    "/tenants",
    "/tenants/user1",
    "/tenants/user1/new",
    "/tenants/user1/tokens",
    "/tenants/user1/functions/shop",
    "/tenants/user1/functions/shop/logs",
    "/tenants/user1/functions/shop/delete",
    "/tenants/user1/functions/shop/deployments/1",
    "/tenants/user1/functions/nothing",
    "/tenants/user1/nothing",
    *(f"/tenants/user1/new/{starter.name}" for starter in starters()),
]
FUNCTION = "/tenants/user1/functions/shop"


class Elements(html.parser.HTMLParser):
    """The elements of a page with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


@pytest.fixture
def hostile(page: Page) -> Page:
    """A page with hostile text wherever a user, a build or a function puts text."""
    page.sign_in()
    page.live(url=f"http://{HOSTILE}", details={"canary_weight": 10})
    page.functions.lines = [HOSTILE]
    made = page.deployment(
        phase=Phase.FAILED,
        reason=HOSTILE,
        next_step=HOSTILE,
        facts={"command": HOSTILE, "exit_code": 1, "stage": "build"},
        warnings=[HOSTILE],
        requested_by=HOSTILE,
        url=f"javascript:{HOSTILE}",
    )
    page.store.log_file(made).write_text(f"{HOSTILE}\n")
    page.service._variables.write("user1", "shop", {"plain": Variable(HOSTILE), "hidden": Variable("s3cret", True)})
    return page


@pytest.mark.parametrize("path", EVERY_PAGE)
@pytest.mark.parametrize("language", ["en", "ko"])
def test_every_page_is_small_safe_and_whole(hostile: Page, path: str, language: str) -> None:
    answer = hostile.get(path, **{"Accept-Language": language})
    if answer.status_code == 303:
        assert path in ("/",)
        return
    assert answer.headers["content-security-policy"] == POLICY
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    size = len(answer.content) + sum(file.stat().st_size for file in STATIC.iterdir())
    assert size <= 100 * 1024
    text = answer.text
    elements = Elements(text)
    assert elements.of("html") == [{"lang": language}]
    assert [script.get("src", "").partition("?")[0] for script in elements.of("script")] == ["/static/page.js"]  # type: ignore[union-attr]
    assert not elements.of("style")
    for _tag, attributes in elements.found:
        assert not [name for name in attributes if name.startswith("on") or name == "style"], attributes
        for name in ("href", "src", "action"):
            assert not (attributes.get(name) or "").lower().startswith(("javascript:", "data:", "//"))
    assert "s3cret" not in text
    assert re.search(r"<h1>.+</h1>", text)
    assert_labelled(elements, text)


def assert_labelled(elements: Elements, text: str) -> None:
    """Every field is inside a label, or has none to see; every id is there once."""
    identifiers = [str(attributes["id"]) for _tag, attributes in elements.found if "id" in attributes]
    assert len(identifiers) == len(set(identifiers))
    for _tag, attributes in elements.found:
        for name in ("aria-describedby", "aria-labelledby", "list"):
            if attributes.get(name):
                assert attributes[name] in identifiers
    labelled = "".join(re.findall(r"<label.*?</label>", text, re.DOTALL))
    for tag in ("input", "textarea"):
        fields = [one for one in elements.of(tag) if one.get("type") != "hidden"]
        assert len(fields) == len([one for one in Elements(labelled).of(tag) if one.get("type") != "hidden"])


def test_hostile_text_is_shown_as_text(hostile: Page) -> None:
    for path in (FUNCTION, f"{FUNCTION}/logs", f"{FUNCTION}/deployments/1"):
        text = hostile.get(path).text
        assert "<script>alert" not in text
        assert "<img src=x" not in text
        assert HOSTILE in html.unescape(text)


def test_a_secret_is_never_shown_again_and_a_plain_value_is(hostile: Page) -> None:
    text = hostile.get(FUNCTION).text
    assert "secret, not shown" in text
    assert html.escape(HOSTILE, quote=False).split("&gt;", maxsplit=1)[0] in text


def test_the_command_of_a_function_is_quoted_for_a_shell(page: Page) -> None:
    page.live(url="http://127.0.0.1:4000/?a=1&b='x'")
    page.sign_in()
    command = next(one for one in Elements(page.get(FUNCTION).text).of("input") if one.get("id") == "command")
    assert command["value"] == """curl 'http://127.0.0.1:4000/?a=1&b='"'"'x'"'"''"""


def test_functions_are_listed_with_their_state(page: Page) -> None:
    page.live()
    page.live("other", status="sleeping", url="")
    page.deployment(phase=Phase.READY)
    page.deployment("broken", phase=Phase.FAILED)
    page.sign_in()
    text = page.get("/tenants/user1").text
    rows = dict(re.findall(r'<tr>\s*<th scope="row"><a [^>]*>(\w+)</a></th>(.*?)</tr>', text, re.S))
    assert set(rows) == {"shop", "other", "broken"}
    assert '<span class="state ready">Ready</span>' in rows["shop"]
    assert '<a href="http://127.0.0.1:4000" rel="noreferrer">' in rows["shop"]
    assert "222222222222" in rows["shop"]
    assert "just now" in rows["shop"]
    assert 'deployments/1">Deployment 1</a>' in rows["shop"]
    assert "Sleeping" in rows["other"]
    assert "Failed" in rows["broken"]


def test_a_page_reloads_without_script_only_while_something_goes_on(page: Page) -> None:
    page.sign_in()
    page.live()
    goes_on = page.deployment(phase=Phase.BUILDING)
    pages = ("/tenants/user1", FUNCTION, f"{FUNCTION}/deployments/1")
    for path in pages:
        assert '<noscript><meta http-equiv="refresh"' in page.get(path).text, path
    page.store.update(goes_on, phase=Phase.READY)
    for path in pages:
        assert "refresh" not in page.get(path).text, path


@pytest.mark.parametrize(
    ("phase", "fields", "states"),
    [
        (Phase.QUEUED, {}, "current pending pending pending pending"),
        (Phase.BUILDING, {}, "done current pending pending pending"),
        (Phase.PACKING, {}, "done done current pending pending"),
        (Phase.PUBLISHING, {}, "done done done current pending"),
        (Phase.ROLLING_OUT, {}, "done done done done current"),
        (Phase.READY, {}, "done done done done done"),
        (
            Phase.FAILED,
            {"facts": {"stage": "build"}, "started": "2026-01-01T00:00:00Z"},
            "done failed pending pending pending",
        ),
        (Phase.FAILED, {"facts": {"stage": "probe"}, "started": "2026-01-01T00:00:00Z"}, "done done done done failed"),
        (Phase.FAILED, {"started": "2026-01-01T00:00:00Z"}, "done failed pending pending pending"),
        (Phase.CANCELLED, {}, "pending pending pending pending pending"),
    ],
)
def test_stage_bar(page: Page, phase: Phase, fields: dict[str, t.Any], states: str) -> None:
    page.sign_in()
    page.deployment(phase=phase, stages={"queue": 0.25, "build": 2.5, "compatibility": 0.5}, **fields)
    text = page.get(f"{FUNCTION}/deployments/1").text
    assert re.findall(r'<li class="(\w+)"', text) == states.split()
    assert ", 3.0 s</span>" in text
    assert ('aria-current="step"' in text) == ("current" in states)


def test_a_failure_shows_cause_command_and_next_step(page: Page) -> None:
    page.sign_in()
    page.deployment(
        phase=Phase.FAILED, reason="The build failed.", next_step="Read it.", facts={"command": "make", "exit_code": 2}
    )
    text = page.get(f"{FUNCTION}/deployments/1").text
    assert "<code>make</code> → 2" in text
    assert '<p lang="en">The build failed.</p>' in text
    assert '<span lang="en">Read it.</span>' in text
    assert "Cancel the deployment" not in text


def test_a_waiting_deployment_tells_its_place_and_can_be_cancelled(page: Page) -> None:
    page.sign_in()
    page.service._queue.submit(page.deployment())
    text = page.get(f"{FUNCTION}/deployments/1").text
    assert "Waiting in the queue. Number 1 in the queue" in text
    assert page.post(f"{FUNCTION}/deployments/1/cancel").status_code == 303
    assert "It was cancelled by a-deploy." in page.get(f"{FUNCTION}/deployments/1").text


def test_a_long_log_is_shown_from_its_end_in_whole_lines(page: Page) -> None:
    page.sign_in()
    made = page.deployment(phase=Phase.BUILDING)
    lines = [f"line {number} ü" for number in range(20_000)]
    page.store.log_file(made).write_text("\n".join(lines) + "\n")
    answer = page.get(f"{FUNCTION}/deployments/1")
    shown = html.unescape(re.findall(r"<pre[^>]*>\n(.*)</pre>", answer.text, re.DOTALL)[0]).splitlines()
    assert shown == lines[-len(shown) :]
    assert len(shown) > 1000
    assert f'data-offset="{page.store.log_file(made).stat().st_size}"' in answer.text
    assert "The end of the log is shown." in answer.text
    assert "<pre" not in page.get(f"{FUNCTION}/deployments/1?log=no").text


def test_the_log_is_read_with_the_cookie_by_this_page_alone(page: Page) -> None:
    page.sign_in()
    made = page.deployment(phase=Phase.READY)
    page.store.log_file(made).write_text("built\n")
    link = f"/v1{FUNCTION}/deployments/1/log"
    assert f'href="{link}"' in page.get(f"{FUNCTION}/deployments/1").text
    assert page.get(link, **{"Sec-Fetch-Site": "same-origin"}).text == "built\n"
    assert page.get(link, **{"Sec-Fetch-Site": "same-site"}).status_code == 401
    assert page.client.delete(f"/v1{FUNCTION}").status_code == 401


def test_what_is_not_there_is_a_page_too(page: Page) -> None:
    page.sign_in()
    answer = page.get(f"{FUNCTION}/deployments/7")
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("text/html")
    assert "There is no deployment 7 of user1/shop." in answer.text
    for path in ("/tenants/user1/new/nothing", "/tenants/user1/nothing", f"{FUNCTION}/source"):
        assert page.get(path).status_code == 404
        assert "<h1>Error 404</h1>" in page.get(path).text


@pytest.mark.parametrize(
    ("path", "page_of_the_form"),
    [
        (f"{FUNCTION}/rollback", FUNCTION),
        (f"{FUNCTION}/variables/remove", FUNCTION),
        (f"{FUNCTION}/deployments/1/cancel", f"{FUNCTION}/deployments/1"),
        ("/tenants/user1/new", "/tenants/user1/new"),
    ],
)
def test_an_error_leads_back_to_the_page_of_the_form(page: Page, path: str, page_of_the_form: str) -> None:
    page.sign_in()
    answer = page.post(path, {"name": "No!", "to": "x"})
    assert answer.status_code in (404, 422)
    assert f'<p><a href="{page_of_the_form}">Back</a></p>' in answer.text
    assert f'<input type="hidden" name="back" value="{page_of_the_form}">' in answer.text


def test_the_address_of_the_sign_in_form_is_a_page(page: Page) -> None:
    """The switch of the language goes back to it after a wrong token."""
    assert "<h1>Sign in</h1>" in page.get("/session").text
    page.sign_in()
    assert page.get("/session").headers["location"] == "/tenants/user1"


def test_a_mistake_of_the_service_gives_nothing_away(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    page.sign_in()
    monkeypatch.setattr(page.functions, "of_tenant", lambda _tenant: 1 / 0)
    answer = page.get("/tenants/user1")
    assert answer.status_code == 500
    assert "The service made a mistake." in answer.text
    assert "ZeroDivision" not in answer.text


def test_static_files_have_other_urls_when_they_change(page: Page) -> None:
    for file in ("page.css", "page.js", "icon.svg"):
        assert page.client.get(f"{HOST}/static/{file}").status_code == 200
    assert len(page.client.get(f"{HOST}/static/page.js").content) <= 10 * 1024
    assert re.search(r"/static/page\.css\?[0-9a-f]{12}\"", page.get("/").text)
    assert page.client.get(f"{HOST}/static/../view.py").status_code == 404
    assert page.client.get(f"{HOST}/static/%2e%2e/view.py").status_code == 404


def test_a_canary_is_promoted(page: Page) -> None:
    page.sign_in(Role.DEPLOY)
    page.live()
    assert "Promote" not in page.get(FUNCTION).text
    page.live(details={"canary_weight": 10})
    assert "Promote" in page.get(FUNCTION).text
    assert page.post(f"{FUNCTION}/promote").headers["location"] == FUNCTION
    assert page.functions.promoted == [("user1", "shop")]
