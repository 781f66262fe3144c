// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
//! What the function answers, without any import of Spin's SDK, so that `cargo test` runs it natively.

use percent_encoding::percent_decode_str;

/// What goes back to the caller: HTTP status code and text.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub body: String,
}

/// Greets the caller: `/` the world, `/hello/<name>` a person. `path` is percent-encoded and has no query.
pub fn answer(method: &str, path: &str) -> Answer {
    if method != "GET" {
        return say(405, format!("{method} is not supported here."));
    }
    if path == "/" {
        return say(200, "Hello, world!".to_owned());
    }
    match path
        .strip_prefix("/hello/")
        .filter(|name| !name.is_empty() && !name.contains('/'))
    {
        Some(name) => match percent_decode_str(name).decode_utf8() {
            Ok(name) => say(200, format!("Hello, {name}!")),
            Err(_) => say(400, "The name is not UTF-8.".to_owned()),
        },
        None => say(
            404,
            format!("There is nothing at {path}. Try / or /hello/Ada."),
        ),
    }
}

fn say(status: u16, text: String) -> Answer {
    Answer {
        status,
        body: text + "\n",
    }
}

#[cfg(test)]
mod tests {
    use super::answer;

    #[test]
    fn greets() {
        for (path, text) in [
            ("/", "Hello, world!\n"),
            ("/hello/Ada", "Hello, Ada!\n"),
            ("/hello/Zo%C3%AB%20Z", "Hello, Zoë Z!\n"),
        ] {
            let result = answer("GET", path);
            assert_eq!((result.status, result.body.as_str()), (200, text), "{path}");
        }
    }

    #[test]
    fn says_what_exists_at_an_unknown_path() {
        for path in ["/hello", "/hello/", "/hello/a/b", "/elsewhere"] {
            let result = answer("GET", path);
            assert_eq!(result.status, 404, "{path}");
            assert!(result.body.contains("/hello/Ada"), "{path}");
        }
    }

    #[test]
    fn refuses_a_name_that_is_not_utf8() {
        assert_eq!(answer("GET", "/hello/%FF").status, 400);
    }

    #[test]
    fn refuses_other_methods() {
        assert_eq!(answer("POST", "/").status, 405);
    }
}
