# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosts a component may reach: `allowed_outbound_hosts`, and the older `allowed_http_hosts`.

Follows Spin's crates/outbound-networking-config/src/allowed_hosts.rs and
crates/manifest/src/compat/allowed_http_hosts.rs, as of 4.1 (main at 94a8fc8): what older versions refuse beyond that is
in `older_host_error`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from .templates import split_template

WELL_KNOWN_PORTS = {"postgres": 5432, "mysql": 3306, "redis": 6379, "mqtt": 1883, "http": 80, "https": 443}
ALLOW_ALL = "insecure:allow-all"

_LONGEST_HOST = 1024
"""Characters. No name in the DNS has more than 253 (RFC 1035, 2.3.4); decoding a long one takes its square in time."""

# The WHATWG URL standard's forbidden domain code points; "%" is left out as url decodes it first.
_FORBIDDEN_IN_DOMAIN = re.compile(r"[\x00-\x20\x7f#/:<>?@\[\\\]^|%]")
_HTTP_URL = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?:[^/?#@]*@)?(?P<host>\[[^\]]*\]|[^:/?#\[\]]*)(?::(?P<port>\d*))?(?P<path>/[^?#]*)?(?:[?#].*)?"
)


def host_error(template: str, defaults: Mapping[str, str | None]) -> str | None:
    """Say why `template` is no entry of `allowed_outbound_hosts` in any version of Spin, or return None.

    Args:
        template: the entry, maybe with `{{ variable }}`.
        defaults: each declared variable's default; None where it has none. An entry that needs such a variable is only
            checked in part.
    """
    try:
        resolved = resolved_host(template, defaults)
    except ValueError as error:
        return str(error)
    if resolved is None:
        return None
    if resolved != template:
        wrong = resolved_host_error(resolved)
        return f'with the default values it becomes "{resolved}": {wrong}' if wrong else None
    try:
        _check_host(template)
    except ValueError as error:
        return str(error)
    return None


_NO_ENDPOINT = ("", "http://", "https://")


def resolved_host_error(resolved: str) -> str | None:
    """Say why what an entry became with the values of its variables is no allowed host, or return None; Spin 4.1 passes
    over an empty one, as "no such endpoint" (`parse_or_skip`)."""
    if resolved in _NO_ENDPOINT:
        return None
    try:
        _check_host(resolved)
    except ValueError as error:
        return str(error)
    return None


def resolved_host(template: str, values: Mapping[str, str | None]) -> str | None:
    """An entry with its variables filled in; None where the value of one is not known.

    Raises:
        ValueError: a `{{` has no `}}`.
    """
    resolved = ""
    for is_expression, text in split_template(template):
        value = values.get(text) if is_expression else text
        if value is None:
            return None
        resolved += value
    return resolved


def older_host_error(resolved: str) -> str | None:
    """Say why Spin before 4.1 refuses an entry that 4.1 takes, or return None.

    It splits host and port at the last colon, whatever is before it (4.0.2, `AllowedHostConfig::parse`), takes an empty
    entry for a wrong one, and compares the suffix of `*.` letter by letter.
    """
    if resolved in _NO_ENDPOINT:
        return "it is empty, and Spin passes over an empty entry only from 4.1 on"
    rest = resolved.strip().partition("://")[2]
    host, colon, port = rest.rpartition(":")
    if colon and (":" in host or "[" in host) and not _is_older_port(port):
        return "an IPv6 host needs a port: Spin guesses it only from 4.1 on"
    if (host if colon else rest).strip().startswith("*.") and rest != rest.lower():
        return "before Spin 4.1 capital letters after *. match no host"
    return None


def _is_older_port(port: str) -> bool:
    number, _slash, path = port.partition("/")
    try:
        _check_port(number, "http")
    except ValueError:
        return False
    return not path


def convert_http_hosts(hosts: Iterable[str], *, with_databases: bool) -> tuple[list[str], list[tuple[int, str]]]:
    """Turn `allowed_http_hosts` into entries of `allowed_outbound_hosts`.

    Args:
        hosts: the old entries.
        with_databases: add all Redis, MySQL and PostgreSQL servers, which version 1 allowed unless told otherwise.

    Returns:
        The new entries, and (index, what is wrong) of each entry that is malformed.
    """
    entries = list(hosts)
    converted = ["redis://*:*", "mysql://*:*", "postgres://*:*"] if with_databases else []
    if ALLOW_ALL in entries:
        return [*converted, "http://*:*", "https://*:*", "http://self"], []
    errors = []
    for index, entry in enumerate(entries):
        try:
            host, port = _parse_http_host(entry)
        except ValueError as error:
            errors.append((index, str(error)))
            continue
        if host == "self":
            converted.append("http://self")
        else:
            converted += [f"http://{host}{port}", f"https://{host}{port}"]
    return converted, errors


def _check_host(entry: str) -> None:
    entry = entry.strip()
    if entry == ALLOW_ALL:
        raise ValueError(f'"{ALLOW_ALL}" is no longer known; "*://*:*" allows all outbound traffic')
    scheme, separator, rest = entry.partition("://")
    if not separator:
        raise ValueError("lacks the scheme (expected <scheme>://<host>[:<port>])")
    host, colon, port = rest.rpartition(":")
    if not colon or not port:
        host, port = (host, "") if colon else (rest, "")
    elif _address_error(rest) is None:
        host, port = rest, ""
    else:
        port, slash, path = port.partition("/")
        if slash and path:
            raise ValueError("has a path, but may only name scheme, host and port")
    _check_port(port, scheme)
    if scheme.startswith("{"):
        raise ValueError("lists of schemes are not supported")
    if scheme != "*" and (not scheme or not scheme.isalpha()):
        raise ValueError(f'the scheme "{scheme}" may hold only letters')
    if error := _address_error(host):
        raise ValueError(error)


def _check_port(port: str, scheme: str) -> None:
    if not port:
        if scheme not in WELL_KNOWN_PORTS:
            raise ValueError(f'lacks the port, and "{scheme}" has no usual one')
        return
    if port == "*":
        return
    if port.startswith("{"):
        raise ValueError("lists of ports are not supported")
    for number in port.split("..", 1):
        if not re.fullmatch(r"\+?\d{1,9}", number, re.ASCII) or int(number) > 65535:
            raise ValueError(f'the port "{port}" is neither a number up to 65535, a range like 80..90, nor "*"')


def _address_error(host: str) -> str | None:
    host = host.strip()
    if host in ("*", "self", "self.alt"):
        return None
    if host.startswith("{"):
        return "lists of hosts are not supported"
    if _is_network(host):
        return None
    host = host.removesuffix("/")
    if "/" in host:
        return "has a path, but may only name scheme, host and port"
    try:
        if host.startswith("*."):
            if "*" in host[2:]:
                return 'a "*" is allowed only as the first label, as in "*.example.com"'
            if not _is_domain(parse_host(host[2:])):
                return f'"{host}": only a domain can follow "*."'
            return None
        if "*" in host:
            return 'a "*" is allowed only as the first label, as in "*.example.com"'
        parse_host(host)
    except ValueError as error:
        return str(error)
    return None


def _is_network(text: str) -> bool:
    import ipaddress

    address, _slash, length = text.partition("/")
    if "%" in address or not re.fullmatch(r"\+?\d{1,3}", length, re.ASCII):
        return False
    try:
        return int(length) <= ipaddress.ip_address(address).max_prefixlen
    except ValueError:
        return False


def _is_domain(host: str) -> bool:
    return not host.startswith("[") and not re.fullmatch(r"[\d.]+", host)


def parse_host(host: str) -> str:
    """Return a host in the form that Rust's url crate gives it: lower case, IDNA, canonical addresses.

    Raises:
        ValueError: it is no host.
    """
    import ipaddress
    from urllib.parse import unquote

    if len(host) > _LONGEST_HOST:
        raise ValueError(f"its host has {len(host)} characters, and no host name has more than 253")
    if host.startswith("["):
        if not host.endswith("]") or "%" in host:
            raise ValueError(f'"{host}" is no IPv6 address')
        try:
            return f"[{ipaddress.IPv6Address(host[1:-1]).compressed}]"
        except ValueError as error:
            raise ValueError(f'"{host}" is no IPv6 address') from error
    domain = unquote(host).lower()
    if not domain:
        raise ValueError("lacks the host")
    if bad := _FORBIDDEN_IN_DOMAIN.search(domain):
        raise ValueError(f'"{host}" is no host name: it holds {bad[0]!r}')
    if not domain.isascii():
        try:
            domain = domain.encode("idna").decode("ascii")
        except UnicodeError as error:
            raise ValueError(f'"{host}" is no host name') from error
    for label in domain.split("."):
        if label.startswith("xn--") and not _is_encoded_label(label):
            raise ValueError(f'"{host}" is no host name: "{label}" is no encoded label')
    last = domain.removesuffix(".").rpartition(".")[2]
    if re.fullmatch(r"\d+|0x[0-9a-f]*", last, re.ASCII):
        return _ipv4(domain)
    return domain


def _is_encoded_label(label: str) -> bool:
    """Whether a label that begins with `xn--` stands for characters beyond ASCII (UTS 46, validity criteria)."""
    from encodings.idna import nameprep

    try:
        decoded = label[4:].encode().decode("punycode")
        return (
            not decoded.isascii() and nameprep(decoded) == decoded and decoded.encode("punycode") == label[4:].encode()
        )
    except UnicodeError:
        return False


def _ipv4(text: str) -> str:
    """Parse an IPv4 address as the WHATWG URL standard does: octal and hexadecimal parts, and fewer than four of
    them."""
    parts = text.removesuffix(".").split(".")
    try:
        if len(parts) > 4 or not all(re.fullmatch("[0-9]{1,19}|0x[0-9a-f]{0,17}", part) for part in parts):
            raise ValueError(text)
        numbers = [
            int(part[2:] or "0", 16)
            if part.startswith("0x")
            else int(part, 8 if len(part) > 1 and part[0] == "0" else 10)
            for part in parts
        ]
        if any(number > 255 for number in numbers[:-1]) or numbers[-1] >= 256 ** (5 - len(numbers)):
            raise ValueError(text)
    except ValueError as error:
        raise ValueError(f'"{text}" is no IPv4 address') from error
    value = numbers[-1] + sum(number << (8 * (3 - index)) for index, number in enumerate(numbers[:-1]))
    return ".".join(str(value >> shift & 255) for shift in (24, 16, 8, 0))


def _parse_http_host(entry: str) -> tuple[str, str]:
    """Return (host, ":port" or "") of an entry of `allowed_http_hosts`."""
    match = _HTTP_URL.fullmatch(entry if "//" in entry else f"http://{entry}")
    if match is None or match["scheme"].lower() not in ("http", "https"):
        raise ValueError("is no host or host:port")
    if len(match["path"] or "") > 1:
        raise ValueError("contains a path, should be host and optional port only")
    port = match["port"] or ""
    if len(port) > 9 or (port and int(port) > 65535):
        raise ValueError(f'the port "{port}" is too high')
    default = WELL_KNOWN_PORTS[match["scheme"].lower()]
    return parse_host(match["host"]), f":{int(port)}" if port and int(port) != default else ""
