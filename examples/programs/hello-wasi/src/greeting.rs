// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

/// One greeting for each name, or one for `target` where there is none.
pub fn greetings(names: &[String], target: &str) -> Vec<String> {
    if names.is_empty() {
        return vec![format!("Hello, {target}!")];
    }
    names.iter().map(|name| format!("Hello, {name}!")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greets_the_target() {
        assert_eq!(greetings(&[], "world"), ["Hello, world!"]);
    }

    #[test]
    fn greets_all_names() {
        let names = ["Ada".to_string(), "Grace".to_string()];
        assert_eq!(greetings(&names, "world"), ["Hello, Ada!", "Hello, Grace!"]);
    }
}
