// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
//! The component's entry point: hands Spin's request to `greeting` and its answer back to Spin.

use spin_sdk::http::{IntoResponse, Request, Response};
use spin_sdk::http_component;

mod greeting;

#[http_component]
fn handle_request(request: Request) -> impl IntoResponse {
    let answer = greeting::answer(request.method().to_string().as_str(), request.path());
    Response::builder()
        .status(answer.status)
        .header("content-type", "text/plain; charset=utf-8")
        .body(answer.body)
        .build()
}
