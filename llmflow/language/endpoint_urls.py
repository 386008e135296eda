"""Which URLs a provider may have: http or https, and never the machine's own metadata service.

It looks at the text alone and resolves no name: an address behind a name is for whoever connects.
Addresses are understood in all the forms that a C library understands: `169.254.169.254`,
`2852039166`, `0xA9FEA9FE`, `0251.0376.0251.0376`, `[::ffff:169.254.169.254]`.
"""

from __future__ import annotations

import re

_METADATA_NAMES = frozenset({"metadata", "metadata.google.internal", "instance-data", "instance-data.ec2.internal"})
_METADATA_ADDRESSES = ("fd00:ec2::254", "100.100.100.200", "192.0.0.192")


def url_problem(url: str) -> tuple[str, str] | None:
    """What is wrong with a `base_url`, with a hint; None where nothing is. The URL's secrets are not repeated."""
    from urllib.parse import urlsplit

    if "{{" in url or "{%" in url:
        return (
            "a URL of a provider cannot be a template",
            "write the URL as it is; where calls go is fixed before a run",
        )
    if not url.isascii() or any(c.isspace() or not c.isprintable() for c in url):
        return "a URL holds printable ASCII only", "write a host of another script in its `xn--` form"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        return f"not a URL: {error}", ""
    if parts.scheme not in ("http", "https"):
        return (
            "a URL must begin with `http://` or `https://`",
            f"did you mean `http://{url}`?" if "://" not in url else "",
        )
    if parts.username is not None or parts.password is not None:
        return "a URL must not hold a user or a password", "keys come from `api_key_env`"
    if not host or port == 0:
        return "a URL needs a host" if not host else "port 0 cannot be called", ""
    if "\\" in url or "%" in host:
        return "a URL's host holds a character that no host has", ""
    if is_forbidden_host(host):
        return (
            f"`{host}` is a link-local or metadata address",
            "a provider must not reach the machine's own metadata service",
        )
    return None


def is_forbidden_host(host: str) -> bool:
    """True for link-local and cloud metadata hosts, in any form of writing an address."""
    name = host.lower().rstrip(".")
    if name in _METADATA_NAMES:
        return True
    import ipaddress

    number = _old_ipv4(name)
    if number is not None:
        return is_forbidden_address(str(ipaddress.IPv4Address(number)))
    try:
        ipaddress.ip_address(name.split("%", 1)[0])
    except ValueError:
        return False
    return is_forbidden_address(name)


def is_forbidden_address(address: str) -> bool:
    """True for a link-local or metadata IP address, also one wrapped in IPv6."""
    import ipaddress

    ip = ipaddress.ip_address(address.split("%", 1)[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or _embedded(ip)
        if inner is not None and is_forbidden_address(str(inner)):
            return True
    return ip.is_link_local or any(ip == ipaddress.ip_address(m) for m in _METADATA_ADDRESSES)


def _embedded(ip: object) -> object | None:
    """The IPv4 address inside `::a.b.c.d` and `64:ff9b::a.b.c.d` (NAT64)."""
    import ipaddress

    number = int(ip)  # type: ignore[call-overload]
    if number >> 32 in (0, 0x0064FF9B << 64) and number > 1:
        return ipaddress.IPv4Address(number & 0xFFFFFFFF)
    return None


def _old_ipv4(host: str) -> int | None:
    """The address in `inet_aton`'s forms: one to four parts, each decimal, octal or hexadecimal."""
    parts = host.split(".")
    if len(parts) > 4:
        return None
    numbers = []
    for part in parts:
        if re.fullmatch(r"0[xX][0-9a-fA-F]*", part):
            numbers.append(int(part[2:] or "0", 16))
        elif re.fullmatch(r"0[0-7]*", part):
            numbers.append(int(part, 8))
        elif re.fullmatch(r"[1-9][0-9]{0,10}", part):
            numbers.append(int(part))
        else:
            return None
    *heads, last = numbers
    if any(n > 255 for n in heads) or last >= 256 ** (5 - len(numbers)):
        return None
    value = 0
    for n in heads:
        value = value << 8 | n
    return value << (8 * (5 - len(numbers))) | last
