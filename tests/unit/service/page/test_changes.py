# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the forms of the page do."""

from __future__ import annotations

import io
import tarfile
import typing as t
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.service.deployments.model import Deployment, Phase, Settings
from ansible_collections.wasmfaas.platform.service.page import forms
from ansible_collections.wasmfaas.platform.service.page.starters import EXAMPLES, starters
from ansible_collections.wasmfaas.platform.service.tokens import Role

from .conftest import Page

FUNCTION = "/tenants/user1/functions/shop"
FILES = {"spin.toml": b"spin_manifest_version = 2\n", "assets/index.html": b"<p>Hello</p>\n"}


def archive(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for path, content in files.items():
            member = tarfile.TarInfo(path)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def unpacked(page: Page, deployment: Deployment, directory: Path) -> dict[str, bytes]:
    """The source of a deployment as its build gets it."""
    page.service.sources.unpack("user1", deployment.source, directory)
    return {str(file.relative_to(directory)): file.read_bytes() for file in directory.rglob("*") if file.is_file()}


def only(page: Page, name: str) -> Deployment:
    (found,) = page.store.of_function("user1", name)
    return found


def test_an_archive_becomes_a_deployment(page: Page, tmp_path: Path) -> None:
    page.sign_in()
    answer = page.post(
        "/tenants/user1/new",
        {"name": " shop ", "profile": "", "timeout": "20", "build_timeout": "", "probe_path": "/up"},
        {"archive": ("shop.tar.gz", archive(FILES))},
    )
    assert answer.headers.get("location") == f"{FUNCTION}/deployments/1", answer.text
    made = only(page, "shop")
    assert made.settings == Settings(timeout=20, probe_path="/up")
    assert made.requested_by == "a-deploy"
    assert unpacked(page, made, tmp_path / "source") == FILES


def test_a_directory_becomes_the_same_source_as_its_archive(page: Page) -> None:
    page.sign_in()
    page.post("/tenants/user1/new", {"name": "shop"}, {"archive": ("shop.tar.gz", archive(FILES))})
    # A browser sends a field without a file as one without a name.
    parts = [("archive", ("", b""))] + [("file", (f"shop/{path}", content)) for path, content in FILES.items()]
    answer = page.post("/tenants/user1/new", {"name": "other"}, parts)
    assert answer.status_code == 303, answer.text
    assert only(page, "other").source == only(page, "shop").source


@pytest.mark.parametrize(
    ("data", "files", "status", "cause"),
    [
        ({"name": "shop"}, {}, 422, "Nothing was chosen to upload."),
        ({"name": "Shop_"}, {"archive": ("a.tar.gz", archive(FILES))}, 422, "The function"),
        ({"name": "api"}, {"archive": ("a.tar.gz", archive(FILES))}, 422, "reserved"),
        ({"name": "shop", "timeout": "0"}, {"archive": ("a.tar.gz", archive(FILES))}, 422, "timeout"),
        ({"name": "shop", "timeout": "soon"}, {"archive": ("a.tar.gz", archive(FILES))}, 422, "timeout"),
        ({"name": "there"}, {"archive": ("a.tar.gz", archive(FILES))}, 409, "There is a function"),
    ],
)
def test_a_wrong_form_is_refused_with_the_cause(
    page: Page, data: dict[str, str], files: dict[str, t.Any], status: int, cause: str
) -> None:
    page.sign_in()
    page.live("there")
    answer = page.post("/tenants/user1/new", data, files or {"archive": ("", b"")})
    assert answer.status_code == status
    assert cause in answer.text
    assert "<strong>Next:</strong>" in answer.text
    assert not page.store.of_tenant("user1")


def test_an_archive_and_a_directory_at_once_are_refused(page: Page) -> None:
    page.sign_in()
    parts = [("archive", ("a.tar.gz", archive(FILES))), ("file", ("spin.toml", b""))]
    answer = page.post("/tenants/user1/new", {"name": "shop"}, parts)
    assert answer.status_code == 422
    assert "Both an archive and a directory were chosen." in answer.text


def test_what_is_too_large_is_refused_before_it_is_kept(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    page.sign_in()
    monkeypatch.setattr(forms, "MOST_BYTES", -(16 << 20) + 1000)
    monkeypatch.setattr(forms, "check_size", lambda _size: None)
    upload = {"archive": ("a.tar.gz", b"0" * 2000)}
    assert page.post(f"{FUNCTION}/source", {"a": "b"}, upload).status_code == 413
    body = b"name=a&value=" + b"0" * (300 << 10)
    headers = {"Sec-Fetch-Site": "same-origin", "Content-Type": "application/x-www-form-urlencoded"}
    stated = page.client.post(f"{FUNCTION}/variables", content=body, headers=headers)
    streamed = page.client.post(f"{FUNCTION}/variables", content=iter([body]), headers=headers)
    assert (stated.status_code, streamed.status_code) == (413, 413)


def test_other_bodies_than_forms_are_refused(page: Page) -> None:
    page.sign_in()
    headers = {"Sec-Fetch-Site": "same-origin", "Content-Type": "text/plain"}
    assert page.client.post(f"{FUNCTION}/variables", content=b"name=a", headers=headers).status_code == 415
    headers["Content-Type"] = "multipart/form-data; boundary=x"
    assert page.client.post(f"{FUNCTION}/variables", content=b"--y", headers=headers).status_code in (400, 422)


def test_every_template_is_deployed_as_it_is(page: Page, tmp_path: Path) -> None:
    page.sign_in()
    assert {starter.name for starter in starters()} >= {"hello-python", "hello-js", "static-site"}
    for starter in starters():
        texts = [value.replace("\n", "\r\n") for value in starter.texts.values()]
        form = {"name": starter.name, "path": list(starter.texts), "content": texts}
        answer = page.post(f"/tenants/user1/new/{starter.name}", form, {"archive": ("", b"")})
        assert answer.status_code == 303, answer.text
        found = unpacked(page, only(page, starter.name), tmp_path / starter.name)
        assert set(found) == {*starter.texts, *starter.more}
        for path, content in found.items():
            assert content == (EXAMPLES / starter.name / path).read_bytes(), path


def test_edited_files_of_a_template_are_deployed(page: Page, tmp_path: Path) -> None:
    page.sign_in()
    form = {"name": "mine", "path": ["assets/index.html", "../../evil"], "content": ["<p>Mine</p>\r\n", "x"]}
    answer = page.post("/tenants/user1/new/static-site", form, {"archive": ("", b"")})
    assert answer.status_code == 303, answer.text
    found = unpacked(page, only(page, "mine"), tmp_path / "source")
    assert found["assets/index.html"] == b"<p>Mine</p>\n"
    assert found["spin.toml"] == (EXAMPLES / "static-site" / "spin.toml").read_bytes()
    assert not [path for path in found if "evil" in path]


def test_what_builds_left_in_an_example_is_no_part_of_its_template(tmp_path: Path) -> None:
    example = tmp_path / "mine"
    (example / "node_modules").mkdir(parents=True)
    (example / "spin.toml").write_text('[application]\ndescription = "Mine"\n')
    (example / ".gitignore").write_text("app.wasm\n")
    (example / "app.py").write_text("pass\n")
    for name in ("app.wasm", "node_modules/a.js", "icon.png"):
        (example / name).write_bytes(b"\xff\x00")
    (example / "package-lock.json").write_text("x" * 10_000)
    (found,) = starters(tmp_path)
    assert (found.name, found.description) == ("mine", "Mine")
    assert list(found.texts) == ["spin.toml", "app.py"]
    assert found.more == [".gitignore", "icon.png", "package-lock.json"]


def test_no_template_is_offered_where_the_examples_are_not_shipped(tmp_path: Path) -> None:
    assert starters(tmp_path / "nothing") == []


def test_a_new_version_is_uploaded(page: Page) -> None:
    page.sign_in()
    page.live()
    page.deployment(phase=Phase.READY)
    answer = page.post(f"{FUNCTION}/source", {"profile": ""}, {"archive": ("shop.tar.gz", archive(FILES))})
    assert answer.headers["location"] == f"{FUNCTION}/deployments/2"


def test_rolling_back_deploys_the_earlier_source(page: Page) -> None:
    page.sign_in()
    for name in ("first", "second"):
        page.post(
            "/tenants/user1/new", {"name": name}, {"archive": ("a.tar.gz", archive({"spin.toml": name.encode()}))}
        )
    first, second = only(page, "first").source, only(page, "second").source
    page.deployment(phase=Phase.READY, source=first, artifact=f"sha256:{'3' * 64}")
    page.deployment(phase=Phase.READY, source=second, artifact=f"sha256:{'2' * 64}")
    page.live()
    shown = page.get(FUNCTION).text
    assert shown.count("Roll back to deployment") == 1
    assert 'aria-label="Roll back to deployment 1"' in shown
    answer = page.post(f"{FUNCTION}/rollback", {"to": "1"})
    assert answer.headers["location"] == f"{FUNCTION}/deployments/3"
    assert page.store.of_function("user1", "shop")[0].source == first
    assert page.post(f"{FUNCTION}/rollback", {"to": "x"}).status_code == 422
    assert page.post(f"{FUNCTION}/rollback", {"to": "9"}).status_code == 409


def test_variables_are_set_and_removed(page: Page) -> None:
    page.sign_in()
    page.live()
    answer = page.post(f"{FUNCTION}/variables", {"name": "greeting", "value": " Hello\r\nyou "})
    assert answer.headers["location"] == FUNCTION
    page.post(f"{FUNCTION}/variables", {"name": "password", "value": "s3cret", "secret": "yes"})
    kept = page.service._variables.read("user1", "shop")
    assert (kept["greeting"].value, kept["greeting"].secret) == (" Hello\nyou ", False)
    assert (kept["password"].value, kept["password"].secret) == ("s3cret", True)
    page.post(f"{FUNCTION}/variables/remove", {"name": "greeting"})
    assert list(page.service._variables.read("user1", "shop")) == ["password"]
    assert page.post(f"{FUNCTION}/variables", {"name": "No!", "value": ""}).status_code == 422


def uploaded(page: Page, content: str, **fields: t.Any) -> Deployment:
    """A deployment whose source is there."""
    with page.service.sources.upload("user1") as upload:
        upload.write(archive({**FILES, "assets/index.html": content.encode()}))
        source, _new = page.service.sources.keep("user1", upload)
    return page.deployment(source=source.source, **fields)


@pytest.mark.parametrize(
    ("newer", "is_newer_taken"),
    [
        ({"phase": Phase.QUEUED}, True),
        ({"phase": Phase.BUILDING}, True),
        ({"phase": Phase.BUILDING, "cancelling": True}, False),
        ({"phase": Phase.FAILED}, False),
        ({"phase": Phase.CANCELLED}, False),
    ],
)
def test_a_variable_comes_with_the_newest_source_that_becomes_ready(
    page: Page, newer: dict[str, t.Any], is_newer_taken: bool
) -> None:
    page.sign_in()
    page.live()
    ready = uploaded(page, "old", phase=Phase.READY)
    later = uploaded(page, "new", **newer)
    page.post(f"{FUNCTION}/variables", {"name": "greeting", "value": "Hello"})
    made, *_others = page.store.of_function("user1", "shop")
    assert made.number == 3
    assert made.source == (later if is_newer_taken else ready).source


def test_a_variable_can_be_left_to_the_next_deployment(page: Page) -> None:
    page.live()
    variables = "/v1/tenants/user1/functions/shop/variables"
    headers = {"Authorization": f"Bearer {page.service.tokens.create('api', 'user1', Role.DEPLOY)}"}
    ready = uploaded(
        page, "old", phase=Phase.READY, settings_digest=page.service._variables.settings_digest("user1", Settings(), {})
    )
    assert page.client.get(variables, headers=headers).json()["wait"] is False
    put = page.client.put(f"{variables}/greeting", params={"deploy": "false"}, json={"value": "Hello"}, headers=headers)
    assert put.json() == {"deployment": None}
    assert page.client.get(variables, headers=headers).json()["wait"] is True
    assert [one.number for one in page.store.of_function("user1", "shop")] == [ready.number]
    assert (
        page.client.put(f"{variables}/other", json={"value": ""}, headers=headers).json()["deployment"]["number"] == 2
    )
    assert page.client.get(variables, headers=headers).json()["wait"] is False


def test_a_function_is_deleted_after_a_question(page: Page) -> None:
    page.sign_in()
    page.live()
    assert "This cannot be undone." in page.get(f"{FUNCTION}/delete").text
    assert ("user1", "shop") in page.functions.live
    assert page.post(f"{FUNCTION}/delete", {"keep_data": "yes"}).headers["location"] == "/tenants/user1"
    assert not page.functions.live
