// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

//! A WASI command: greets its arguments, or whom the environment variable TARGET names.

mod greeting;

use std::env;

fn main() {
    let names: Vec<String> = env::args().skip(1).collect();
    let target = env::var("TARGET").unwrap_or_else(|_| "world".to_string());
    for line in greeting::greetings(&names, &target) {
        println!("{line}");
    }
}
