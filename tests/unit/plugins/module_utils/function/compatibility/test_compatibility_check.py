# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a shim cannot run is refused at the desk, with both versions named."""

from __future__ import annotations

import collections.abc
import typing as t
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.compatibility.check import (
    OLDEST_SPIN,
    Compatibility,
    check,
    check_pushed,
    spin_version_of_shim,
)
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.manifest.model import (
    Component,
    LocalSource,
    Manifest,
    Trigger,
)
from hypothesis import given
from hypothesis import strategies as st

P2 = "wasi:http/incoming-handler@0.2.0"
P3 = "wasi:http/handler@0.3.0-rc-2026-03-15"
UNSTABLE = {"route": "/x", "executor": {"type": "wasip3-unstable"}}
WAGI = {"route": "/x", "executor": {"type": "wagi"}}
Check = collections.abc.Callable[..., str]


@pytest.fixture
def checked(tmp_path: Path, wasm: t.Any) -> Check:
    """Checks an application of one component."""

    def run(
        shim: str,
        *,
        imports: t.Sequence[str] = (),
        exports: t.Sequence[str] = (P2,),
        trigger: str = "http",
        settings: dict[str, t.Any] | None = None,
        binary: bytes | None = None,
    ) -> str:
        (tmp_path / "c.wasm").write_bytes(
            wasm.component(imports=imports, exports=exports) if binary is None else binary
        )
        triggers = (Trigger("the-trigger", trigger, "c", settings or {"route": "/..."}),)
        manifest = Manifest(
            tmp_path / "spin.toml", "a", triggers, {"c": Component(id="c", source=LocalSource("c.wasm"))}
        )
        found = check(manifest, {"c": tmp_path / "c.wasm"}, shim_version=shim)
        assert not found.warnings
        return found.minimum_spin_version

    return run


@pytest.mark.parametrize(
    ("shim", "spin"),
    [
        ("0.25.1", "4.0.1"),
        ("v0.25.0", "4.0.1"),
        ("0.24.0", "3.6.3"),
        ("0.21", "3.4.0"),
        ("0.24.0-rc.1", "3.6.3"),
        ("0.12.0", "2.2.0"),
    ],
)
def test_spin_version_of_a_shim(shim: str, spin: str) -> None:
    assert spin_version_of_shim(shim) == spin


@pytest.mark.parametrize("shim", ["0.26.0", "0.99", "1.0.0"])
def test_shim_that_is_newer_than_the_table_is_taken_for_the_newest(shim: str) -> None:
    assert spin_version_of_shim(shim) == spin_version_of_shim("0.25.1")


def test_shim_that_is_too_old_is_refused() -> None:
    with pytest.raises(PlatformError, match=r"0\.11\.1 is too old") as caught:
        spin_version_of_shim("0.11.1")
    assert "0.12" in caught.value.next_step


@given(st.text(max_size=12))
def test_shim_version_is_a_version_or_an_error(shim: str) -> None:
    try:
        assert spin_version_of_shim(shim).count(".") == 2
    except PlatformError as error:
        assert error.next_step


@pytest.mark.parametrize("shim", ["0.12.0", "0.17.0", "0.20.0", "0.24.0", "0.25.1"])
def test_p2_component_runs_on_every_shim(checked: Check, shim: str) -> None:
    assert (
        checked(shim, imports=["wasi:http/types@0.2.0", "wasi:cli/stdout@0.2.3", "fermyon:spin/key-value@2.0.0"])
        == "2.2.0"
    )


@pytest.mark.parametrize("shim", ["0.12.0", "0.21.0", "0.24.0"])
def test_trap_7_p3_component_is_refused_by_shims_before_spin_4(checked: Check, shim: str) -> None:
    with pytest.raises(PlatformError) as caught:
        checked(shim, imports=["wasi:http/types@0.3.0-rc-2026-03-15"], exports=[P3])
    error = caught.value
    assert f"containerd-shim-spin {shim} (Spin {spin_version_of_shim(shim)})" in error.cause
    assert f"exports {P3}, which Spin has from 4.0.0 on" in error.cause
    assert "imports wasi:http/types@0.3.0-rc-2026-03-15, which Spin has from 4.0.0 on" in error.cause
    assert "containerd-shim-spin 0.25 or later" in error.next_step
    assert "spin-sdk 3.4.1" in error.next_step
    assert error.facts["spin_version"] == spin_version_of_shim(shim)
    assert len(error.facts["problems"]) == 2


def test_p3_component_runs_with_spin_4_and_says_that_it_needs_it(checked: Check) -> None:
    assert checked("0.25.1", exports=[P3]) == "4.0.0"


def test_draft_that_spin_dropped_is_refused_by_newer_shims_and_named_with_its_range(checked: Check) -> None:
    draft = "wasi:http/handler@0.3.0-rc-2025-09-16"
    assert checked("0.22.0", exports=[draft], settings=UNSTABLE) == "3.5.0"
    for shim in ("0.23.0", "0.25.1"):
        with pytest.raises(PlatformError, match=r"which Spin had from 3\.5\.0 to before 3\.6\.0"):
            checked(shim, exports=[draft])
    with pytest.raises(PlatformError, match=r"which Spin has from 3\.5\.0 on"):
        checked("0.21.0", exports=[draft])


def test_newest_interface_decides_what_is_needed(checked: Check) -> None:
    assert (
        checked(
            "0.25.1",
            imports=[
                "spin:postgres/postgres@4.0.0",
                "spin:sqlite/sqlite@3.0.0",
                "wasi:config/store@0.2.0-draft-2024-09-27",
            ],
        )
        == "3.4.0"
    )
    with pytest.raises(
        PlatformError, match=r"imports spin:postgres/postgres@4\.0\.0, which Spin has from 3\.4\.0 on"
    ) as caught:
        checked("0.20.0", imports=["spin:postgres/postgres@4.0.0", "spin:sqlite/sqlite@3.0.0"])
    assert "sqlite" not in caught.value.cause
    assert "0.21 or later" in caught.value.next_step


def test_stable_wasi_is_one_family_and_its_drafts_are_not(checked: Check) -> None:
    assert checked("0.12.0", imports=["wasi:io/streams@0.2.9"]) == "2.2.0"
    assert (
        checked(
            "0.12.0",
            imports=["wasi:io/streams@0.2.0-rc-2023-11-10"],
            exports=["wasi:http/incoming-handler@0.2.0-rc-2023-11-10"],
        )
        == "2.1.0"
    )


def test_interfaces_of_spin_1_have_no_version(checked: Check) -> None:
    assert checked("0.12.0", imports=["fermyon:spin/key-value"], exports=["fermyon:spin/inbound-http"]) == OLDEST_SPIN


def test_component_of_an_http_trigger_must_export_a_handler(checked: Check) -> None:
    with pytest.raises(
        PlatformError,
        match=r"component c has an http trigger but exports no HTTP handler "
        r"\(it exports wasi:cli/run@0\.2\.0, which a wagi trigger calls\)",
    ):
        checked("0.25.1", exports=["wasi:cli/run@0.2.0"])
    with pytest.raises(PlatformError, match=r"exports no HTTP handler \(it exports wasi:clocks/x\)"):
        checked("0.25.1", exports=["wasi:clocks/x"])
    with pytest.raises(PlatformError, match="exports nothing"):
        checked("0.25.1", exports=[])


def test_component_that_no_http_trigger_calls_needs_no_handler(checked: Check) -> None:
    assert (
        checked("0.25.1", exports=["fermyon:spin/inbound-redis"], trigger="redis", settings={"channel": "x"})
        == OLDEST_SPIN
    )
    assert (
        checked("0.25.1", exports=["wasi:cli/run@0.2.0"], settings={"route": "/x", "executor": {"type": "wagi"}})
        == OLDEST_SPIN
    )


def test_component_of_a_wagi_trigger_must_be_a_command(checked: Check) -> None:
    with pytest.raises(PlatformError, match=r"component c has a wagi trigger but exports no wasi:cli/run"):
        checked("0.25.1", settings=WAGI)


def test_executor_wasip3_unstable_is_of_spin_3_5_and_3_6_alone(checked: Check) -> None:
    assert checked("0.22.0", exports=["wasi:http/handler@0.3.0-rc-2025-09-16"], settings=UNSTABLE) == "3.5.0"
    assert checked("0.24.0", exports=["wasi:http/handler@0.3.0-rc-2026-01-06"], settings=UNSTABLE) == "3.6.0"
    with pytest.raises(PlatformError, match=r"the executor wasip3-unstable, which Spin has from 3\.5\.0 on"):
        checked("0.21.0", settings=UNSTABLE)
    with pytest.raises(PlatformError, match=r"wasip3-unstable, which Spin had from 3\.5\.0 to before 4\.0\.0"):
        checked("0.25.1", settings=UNSTABLE)


def test_spin_3_calls_the_draft_of_wasi_0_3_by_its_executor_alone(checked: Check) -> None:
    draft = "wasi:http/handler@0.3.0-rc-2026-01-06"
    with pytest.raises(PlatformError, match=r'calls only if the trigger has executor = \{ type = "wasip3-unstable" \}'):
        checked("0.24.0", exports=[draft])
    with pytest.raises(
        PlatformError, match=r"has the executor wasip3-unstable, which calls wasi:http/handler, and exports"
    ):
        checked("0.24.0", exports=[P2], settings=UNSTABLE)


@pytest.mark.parametrize(
    ("trigger", "settings", "exports", "named"),
    [
        ("http", {"route": "/..."}, [P2, P3], f"{P2} and {P3}"),
        (
            "http",
            {"route": "/..."},
            [P2, "wasi:http/incoming-handler@0.2.0-rc-2023-11-10", "fermyon:spin/inbound-http"],
            f"{P2} and wasi:http/incoming-handler@0.2.0-rc-2023-11-10 and fermyon:spin/inbound-http",
        ),
        (
            "redis",
            {"channel": "x"},
            ["fermyon:spin/inbound-redis", "spin:redis/inbound-redis@3.0.0"],
            "fermyon:spin/inbound-redis and spin:redis/inbound-redis@3.0.0",
        ),
    ],
)
def test_component_with_several_handlers_that_this_spin_calls_is_refused(
    checked: Check, trigger: str, settings: dict[str, t.Any], exports: list[str], named: str
) -> None:
    with pytest.raises(PlatformError) as caught:
        checked("0.25.1", exports=exports, trigger=trigger, settings=settings)
    assert caught.value.facts["problems"] == [
        f"component c exports {named}, and Spin calls a component that exports one handler"
    ]


def test_handler_that_this_spin_does_not_know_is_passed_over_beside_one_that_it_calls(checked: Check) -> None:
    assert checked("0.24.0", exports=[P2, P3]) == "2.2.0"
    assert checked("0.25.1", exports=[P2, "wasi:http/handler@0.3.0"]) == "2.2.0"
    both = ["spin:redis/inbound-redis@3.0.0", "fermyon:spin/inbound-redis"]
    assert checked("0.24.0", exports=both, trigger="redis", settings={"channel": "x"}) == OLDEST_SPIN


def test_releases_of_stable_wasi_are_one_handler(checked: Check) -> None:
    assert checked("0.25.1", exports=[P2, "wasi:http/incoming-handler@0.2.3"]) == "2.2.0"


def test_component_of_a_redis_trigger_must_export_a_handler(checked: Check) -> None:
    with pytest.raises(PlatformError, match="component c has a redis trigger but exports no Redis handler"):
        checked("0.25.1", exports=[P2], trigger="redis", settings={"channel": "x"})


def test_handler_counts_only_under_its_trigger(checked: Check) -> None:
    assert checked("0.25.1", exports=["handle", "wasi:http/handler@9.0.0"], trigger="sqs", settings={}) == OLDEST_SPIN


def test_static_response_is_refused_by_shims_before_spin_3_5(tmp_path: Path, wasm: t.Any) -> None:
    (tmp_path / "c.wasm").write_bytes(wasm.component(exports=(P2,)))
    triggers = (
        Trigger("answer", "http", "c", {"route": "/..."}),
        Trigger("static", "http", "", {"route": "/x", "static_response": {"body": "x"}}),
    )
    manifest = Manifest(tmp_path / "spin.toml", "a", triggers, {"c": Component(id="c", source=LocalSource("c.wasm"))})
    sources = {"c": tmp_path / "c.wasm"}
    assert check(manifest, sources, shim_version="0.22.0").minimum_spin_version == "3.5.0"
    with pytest.raises(PlatformError, match=r"trigger static gives a static response, which Spin has from 3\.5\.0 on"):
        check(manifest, sources, shim_version="0.21.0")


def test_exports_of_its_own_do_not_count(checked: Check) -> None:
    assert checked("0.12.0", exports=[P2, "spin:postgres/postgres@4.2.0", "my:own/thing@9.0.0"]) == "2.2.0"


def test_trap_6_import_that_nobody_provides_is_refused(checked: Check) -> None:
    with pytest.raises(
        PlatformError,
        match=r"component c imports my:library/text@1\.0\.0, which neither Spin nor one of its `dependencies` provides",
    ):
        checked("0.25.1", imports=["my:library/text@1.0.0"])


FD_WRITE = ("wasi_snapshot_preview1", "fd_write")
REDIS = {"channel": "x"}


@pytest.mark.parametrize(
    ("trigger", "settings", "module", "minimum"),
    [
        ("http", WAGI, {"imports": [FD_WRITE], "exports": ["_start"]}, OLDEST_SPIN),
        ("http", None, {"exports": ["handle-http-request", "_initialize"]}, OLDEST_SPIN),
        ("http", None, {"imports": [("outbound-redis", "get")], "exports": ["handle-http-request"]}, OLDEST_SPIN),
        ("redis", REDIS, {"imports": [FD_WRITE], "exports": ["handle-redis-message"]}, OLDEST_SPIN),
        ("http", None, {"bindings": "0.51.0", "exports": [f"{P2}#handle", "cabi_realloc"]}, "2.2.0"),
        ("http", None, {"bindings": "0.57.1", "exports": [f"[async-lift]{P3}#handle"]}, "4.0.0"),
        (
            "http",
            None,
            {
                "bindings": "0.51.0",
                "exports": ["cm32p2|wasi:http/incoming-handler@0.2.0|handle"],
                "imports": [("[export]wasi:http/types@0.2.0", "x"), ("$root", "y"), FD_WRITE],
            },
            "2.2.0",
        ),
        (
            "http",
            None,
            {"bindings": "0.51.0", "exports": [f"{P2}#handle"], "imports": [("spin:postgres/postgres@4.0.0", "query")]},
            "3.4.0",
        ),
    ],
)
def test_core_module_that_spin_can_wrap(
    checked: Check,
    wasm: t.Any,
    trigger: str,
    settings: dict[str, t.Any] | None,
    module: dict[str, t.Any],
    minimum: str,
) -> None:
    assert checked("0.25.1", binary=core_module(wasm, **module), trigger=trigger, settings=settings) == minimum


@pytest.mark.parametrize(
    ("trigger", "settings", "module", "problem"),
    [
        (
            "http",
            None,
            {"imports": [FD_WRITE], "exports": ["_start"]},
            (
                "component c (a core module) has an http trigger but exports no HTTP handler (it exports "
                "wasi:cli/run@0.2.0, which a wagi trigger calls)"
            ),
        ),
        (
            "http",
            None,
            {"exports": ["add"]},
            "component c (a core module) has an http trigger but exports no HTTP handler (it exports nothing)",
        ),
        (
            "http",
            WAGI,
            {"exports": ["handle-http-request"]},
            (
                "component c (a core module) has a wagi trigger but exports no wasi:cli/run (it exports "
                "fermyon:spin/inbound-http)"
            ),
        ),
        (
            "redis",
            REDIS,
            {"exports": ["handle-http-request"]},
            (
                "component c (a core module) has a redis trigger but exports no Redis handler (it exports "
                "fermyon:spin/inbound-http)"
            ),
        ),
        (
            "http",
            WAGI,
            {"imports": [("env", "print")], "exports": ["_start"]},
            "component c imports print from env, which Spin gives no core module",
        ),
        (
            "http",
            WAGI,
            {"imports": [("wasi_snapshot_preview1", "sock_open")], "exports": ["_start"]},
            "component c imports sock_open from wasi_snapshot_preview1, which Spin gives no core module",
        ),
        (
            "http",
            None,
            {"imports": [("outbound-redis", "flush")], "exports": ["handle-http-request"]},
            "component c imports flush from outbound-redis, which Spin gives no core module",
        ),
        (
            "http",
            None,
            {"bindings": "0.4.0", "exports": ["handle"]},
            "component c is a core module made with wit-bindgen 0.4.0, which Spin cannot wrap",
        ),
        (
            "http",
            None,
            {"bindings": "0.57.1", "exports": ["[async-lift]wasi:http/handler@0.3.0#handle"]},
            "component c (a core module) exports wasi:http/handler@0.3.0, which Spin has from 4.1.0 on",
        ),
        (
            "http",
            None,
            {"bindings": "0.51.0", "exports": [f"{P2}#handle"], "imports": [("wasi:nn/graph@0.2.0", "load")]},
            (
                "component c (a core module) imports wasi:nn/graph@0.2.0, which no Spin version known here has (none "
                "has wasi:nn)"
            ),
        ),
        (
            "http",
            WAGI,
            {"exports": ["_start"], "clang": "15.0.0 (https://example.com)"},
            (
                "component c was made with clang 15.0.0: Spin refuses what wasi-sdk before 19 made, because its memory "
                "allocation is not safe (spinframework/spin#2552)"
            ),
        ),
    ],
)
def test_core_module_that_spin_cannot_run_is_refused(
    checked: Check,
    wasm: t.Any,
    trigger: str,
    settings: dict[str, t.Any] | None,
    module: dict[str, t.Any],
    problem: str,
) -> None:
    with pytest.raises(PlatformError) as caught:
        checked("0.25.1", binary=core_module(wasm, **module), trigger=trigger, settings=settings)
    assert caught.value.facts["problems"] == [problem]


@pytest.mark.parametrize("clang", ["15.0.7", "18.1.2-wasi-sdk (https://example.com)", "unknown", "15.0"])
def test_module_of_another_clang_may_run(checked: Check, wasm: t.Any, clang: str) -> None:
    assert checked("0.25.1", binary=core_module(wasm, exports=["_start"], clang=clang), settings=WAGI) == OLDEST_SPIN


def core_module(wasm: t.Any, *, bindings: str = "", clang: str = "", **outside: t.Any) -> bytes:
    binary = wasm.module(**outside)
    if bindings:
        binary += wasm.bindings("wit-bindgen-rust", bindings)
    if clang:
        binary += wasm.producers({"clang": clang})
    return bytes(binary)


def test_trigger_type_that_the_shim_lacks_is_refused(checked: Check) -> None:
    with pytest.raises(PlatformError, match="trigger the-trigger: containerd-shim-spin has no trigger type 'cron'"):
        checked("0.25.1", trigger="cron", settings={})


def test_all_findings_are_told_at_once(tmp_path: Path, wasm: t.Any) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.wasm").write_bytes(wasm.component(exports=[P3]))
    components = {name: Component(id=name, source=LocalSource(f"{name}.wasm")) for name in ("a", "b")}
    triggers = tuple(Trigger(f"t-{name}", "http", name, {"route": f"/{name}"}) for name in components)
    with pytest.raises(PlatformError) as caught:
        check(
            Manifest(tmp_path / "spin.toml", "x", triggers, components),
            {name: tmp_path / f"{name}.wasm" for name in components},
            shim_version="0.24.0",
        )
    assert [finding.split()[1] for finding in caught.value.facts["problems"]] == ["a", "b"]


def test_many_findings_are_cut_short_in_the_message_and_whole_in_the_facts(checked: Check) -> None:
    with pytest.raises(PlatformError, match="and 17 more") as caught:
        checked("0.24.0", imports=[f"wasi:http/i{number}@0.3.0-rc-2026-03-15" for number in range(20)], exports=[P3])
    assert len(caught.value.facts["problems"]) == 21
    assert len(caught.value.cause) < 800


def test_unreadable_component_is_refused_with_its_key(checked: Check) -> None:
    with pytest.raises(PlatformError, match=r"component\.c\.source: .* is not WebAssembly"):
        checked("0.25.1", binary=b"nothing")


@pytest.mark.parametrize(
    ("minimum", "shim"),
    [
        ("2.2.0", "0.12.0"),
        ("4.0.0", "0.25.1"),
        ("", "0.12.0"),
        ("3.6.0", "0.24.0"),
        ("3.10.0", "0.25.0"),
        ("3.6.3+", "0.25.0"),
    ],
)
def test_pushed_artifact_that_fits(minimum: str, shim: str) -> None:
    assert check_pushed(minimum, shim_version=shim) is None


def test_pushed_artifact_that_is_too_new_is_refused_with_both_versions() -> None:
    with pytest.raises(
        PlatformError, match=r"containerd-shim-spin 0\.24\.0 \(Spin 3\.6\.3\).*from 4\.0\.0 on"
    ) as caught:
        check_pushed("4.0.0", shim_version="0.24.0")
    assert "0.25 or later" in caught.value.next_step


@pytest.mark.parametrize("annotation", ["later", "4.0.0-rc1", "4..0", "٤.0.0", "+", "4.0.0++"])
def test_annotation_that_somebody_else_wrote_is_passed_over(annotation: str) -> None:
    assert check_pushed(annotation, shim_version="0.12.0") is None


def test_what_no_shim_has_yet_is_told_without_a_version_to_install() -> None:
    with pytest.raises(PlatformError) as caught:
        check_pushed("9.0.0", shim_version="0.25.1")
    assert "Install containerd-shim-spin" not in caught.value.next_step


# ---- what the table does not know


def check_file(path: Path, shim: str) -> Compatibility:
    triggers = (Trigger("the-trigger", "http", "c", {"route": "/..."}),)
    return check(
        Manifest(path.parent / "spin.toml", "a", triggers, {"c": Component(id="c", source=LocalSource("c.wasm"))}),
        {"c": path},
        shim_version=shim,
    )


@pytest.mark.parametrize("draft", ["0.3.0-rc-2026-03-15", "0.3.0"])
def test_component_of_go_sdk_3_is_refused_by_older_shims(checked: Check, draft: str) -> None:
    """What spin-go-sdk v3 exports (http/http.go: package wasi_http_service), with componentize-go's p1 adapter beneath
    it; its first versions have the draft."""
    imports = ["wasi:cli/environment@0.2.6", "wasi:io/streams@0.2.6", f"wasi:http/types@{draft}"]
    with pytest.raises(
        PlatformError, match=r"containerd-shim-spin 0\.24\.0 \(Spin 3\.6\.3\) cannot run this"
    ) as caught:
        checked("0.24.0", imports=imports, exports=[f"wasi:http/handler@{draft}"])
    since = "4.1.0" if draft == "0.3.0" else "4.0.0"
    assert caught.value.facts["problems"] == [
        f"component c imports wasi:http/types@{draft}, which Spin has from {since} on",
        f"component c exports wasi:http/handler@{draft}, which Spin has from {since} on",
    ]
    assert "Go: spin-go-sdk v2 with TinyGo, or `net/http` as in examples/functions/hello-go" in caught.value.next_step


@pytest.mark.parametrize("shim", ["0.25.1", "0.24.0"])
def test_component_of_the_newest_python_sdk_is_refused_by_shims_that_lack_its_interfaces(
    checked: Check, shim: str
) -> None:
    """What spin-sdk 5.0.0 with componentize-py 0.25.1 makes (its imports shortened): WASI 0.3.0, which is in Spin
    4.1."""
    imports = [
        "wasi:io/poll@0.2.9",
        "wasi:http/types@0.3.0-rc-2026-03-15",
        "wasi:http/types@0.3.0",
        "wasi:cli/stdout@0.3.0",
        "spin:mysql/mysql@3.0.0",
    ]
    with pytest.raises(
        PlatformError, match=r"component c imports wasi:http/types@0\.3\.0, which Spin has from 4\.1\.0 on"
    ) as caught:
        checked(shim, imports=imports, exports=["exports", "wasi:http/handler@0.3.0"])
    assert "component c exports wasi:http/handler@0.3.0, which Spin has from 4.1.0 on" in caught.value.facts["problems"]
    assert "Install containerd-shim-spin" not in caught.value.next_step, "no shim known here has it"
    assert "-e shim_version=VERSION" in caught.value.next_step and "later than 0.25" in caught.value.next_step
    assert "spin-sdk 3.4.1" in caught.value.next_step
    assert ("4.0.0 with 0.23.0" in caught.value.next_step) is (shim == "0.25.1")


@pytest.mark.parametrize(
    ("name", "newest"),
    [
        ("wasi:http/types@0.4.0", "the newest is wasi:http@0.3 in Spin 4.1.0"),
        ("wasi:http/types@0.3.0-rc-2027-01-01", "the newest is wasi:http@0.3 in Spin 4.1.0"),
        ("wasi:http/types", "the newest is wasi:http@0.3 in Spin 4.1.0"),
        ("wasi:io/poll@0.3.0", "the newest is wasi:io@0.2 in Spin 2.2.0"),
        ("wasi:nn/graph@0.2.0", "none has wasi:nn"),
        ("wasi:keyvalue/store@0.2.0", "the newest is wasi:keyvalue@0.2.0-draft2 in Spin 3.0.0"),
        ("spin:postgres/postgres@5.0.0", "the newest is spin:postgres@4.2.0 in Spin 4.0.0"),
        ("spin:redis/redis", "the newest is spin:redis@3.0.0 in Spin 4.0.0"),
        ("spin:queue/queue@1.0.0", "none has spin:queue"),
        ("fermyon:spin/llm@3.0.0", "the newest is fermyon:spin@2.0.0 in Spin 2.0.0"),
        ("fermyon:cloud/thing", "none has fermyon:cloud"),
        ("spin:lonely", "none has spin:lonely"),
    ],
)
def test_interface_that_no_known_spin_has_is_refused_with_the_newest(checked: Check, name: str, newest: str) -> None:
    with pytest.raises(PlatformError) as caught:
        checked("0.25.1", imports=[name])
    assert caught.value.facts["problems"] == [
        f"component c imports {name}, which no Spin version known here has ({newest})"
    ]
    assert "-e shim_version=VERSION" in caught.value.next_step


@pytest.mark.parametrize(
    "name", ["wasi:http/handler@0.4.0", "wasi:http/incoming-handler", "fermyon:spin/inbound-http@9.0.0"]
)
def test_handler_that_no_known_spin_calls_is_refused(checked: Check, name: str) -> None:
    with pytest.raises(PlatformError, match=f"component c exports {name}, which no Spin version known here has"):
        checked("0.25.1", exports=[name])


def test_exports_that_spin_does_not_call_may_be_anything(checked: Check) -> None:
    assert checked("0.25.1", exports=[P2, "wasi:cli/run@9.0.0", "spin:new/thing@1.0.0", "exports"]) == "2.2.0"


@pytest.mark.parametrize(
    ("trigger", "name", "minimum"),
    [
        ("sqs", "fermyon:spin-sqs/sqs-types@2.0.0", "2.0.0"),
        ("sqs", "spin:sqs/sqs-types@3.0.0", "4.0.0"),
        ("mqtt", "spin:mqtt-trigger/spin-mqtt-types", "2.0.0"),
        ("mqtt", "spin:mqtt-trigger/spin-mqtt-types@3.0.0", "4.0.0"),
    ],
)
def test_types_of_the_shims_other_triggers_are_known(checked: Check, trigger: str, name: str, minimum: str) -> None:
    assert checked("0.25.1", imports=[name], exports=["handle-message"], trigger=trigger, settings={}) == minimum


def test_redis_handlers_are_known(checked: Check) -> None:
    assert (
        checked("0.25.1", exports=["spin:redis/inbound-redis@3.0.0"], trigger="redis", settings={"channel": "x"})
        == "4.0.0"
    )
    with pytest.raises(
        PlatformError, match=r"exports spin:redis/inbound-redis@3\.0\.0, which Spin has from 4\.0\.0 on"
    ):
        checked("0.24.0", exports=["spin:redis/inbound-redis@3.0.0"], trigger="redis", settings={"channel": "x"})


@pytest.mark.parametrize(
    ("imports", "minimum"),
    [
        (["wasi:http/types@0.3.0"], "4.1.0"),
        (["wasi:http/types@0.3.7"], "4.1.0"),
        (["wasi:http/types@0.4.0", "wasi:cli/exit@0.3.0"], "4.1.0+"),
    ],
)
def test_shim_that_is_newer_than_the_table_gets_a_warning(
    tmp_path: Path, wasm: t.Any, imports: list[str], minimum: str
) -> None:
    (tmp_path / "c.wasm").write_bytes(wasm.component(imports=imports, exports=[P2]))
    found = check_file(tmp_path / "c.wasm", "0.26.0")
    assert found.minimum_spin_version == minimum
    assert len(found.warnings) == 1
    assert "containerd-shim-spin 0.26.0 is newer than this collection knows" in found.warnings[0]
    assert imports[0] in found.warnings[0]


def test_shim_that_is_newer_than_the_table_runs_no_draft_that_spin_dropped(tmp_path: Path, wasm: t.Any) -> None:
    (tmp_path / "c.wasm").write_bytes(
        wasm.component(imports=["wasi:http/types@0.3.0-rc-2026-01-06", "wasi:http/types@0.4.0"], exports=[P2])
    )
    with pytest.raises(
        PlatformError, match=r"Spin 4\.0\.1 or later.*Spin had from 3\.6\.0 to before 4\.0\.0"
    ) as caught:
        check_file(tmp_path / "c.wasm", "0.26.0")
    assert len(caught.value.facts["problems"]) == 1


@pytest.mark.parametrize(
    ("minimum", "says"), [("4.1.0", r"that Spin has from 4\.1\.0 on"), ("4.1.0+", r"that came to Spin after 4\.1\.0")]
)
def test_pushed_artifact_that_is_newer_than_the_table_is_refused_by_known_shims(minimum: str, says: str) -> None:
    with pytest.raises(PlatformError, match=says) as caught:
        check_pushed(minimum, shim_version="0.25.1")
    assert "-e shim_version=VERSION" in caught.value.next_step
    assert check_pushed(minimum, shim_version="0.26.0") is None
