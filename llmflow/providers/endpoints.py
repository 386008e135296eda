"""Which address a provider calls and which key may go there.

Two rules are kept here. A key that lies in the environment under a vendor's own name goes to that
vendor's host and nowhere else: whoever writes a pipeline must not be able to have it sent elsewhere.
And no endpoint may be an address that only a cloud's own machines can reach (link-local, metadata
services), whatever way it is written: checked on the URL here and again on what its name resolves to.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit

from llmflow.errors import SetupError
from llmflow.providers.registry import KINDS, Kind, ProviderConfig

DUMMY_KEY = "none"
"""Sent where no key is wanted: the SDKs insist on one, and they must not go looking for the ambient key."""

_METADATA = frozenset(map(ipaddress.ip_address, ("fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "192.0.0.192")))
_VENDOR_KEYS = {kind.key_env: kind for kind in KINDS.values() if kind.key_env}


class UnsafeAddress(OSError):
    """A name resolved to an address that no endpoint may have."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address that answers calls. `key_env` names the variable the key came from, empty for none.

    `vendor`: the kind's own host, where the vendor's own rules hold (and its ambient settings apply).
    """

    url: str
    key: str = field(default=DUMMY_KEY, repr=False)
    key_env: str = ""
    vendor: bool = False

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must never be shown."""
        return (self.key,) if self.key_env else ()


def endpoints_of(config: ProviderConfig, kind: Kind, environment: Mapping[str, str]) -> tuple[Endpoint, ...]:
    """The endpoints of a provider that speaks HTTP, at least one, each with the key that may go there.

    Needs no SDK and contacts nothing. Raises `SetupError` for an unusable URL or a missing key.
    """
    urls = config.urls or ((kind.base_url,) if kind.base_url else ())
    if not urls:
        raise SetupError(f"provider {config.name}: it needs a base_url")
    return tuple(_endpoint(config, kind, url, environment) for url in urls)


def _endpoint(config: ProviderConfig, kind: Kind, url: str, environment: Mapping[str, str]) -> Endpoint:
    parts = _checked(config.name, url)
    vendor = kind.hosted and _same_host(parts, kind)
    name = config.api_key_env or (kind.key_env if vendor else None)
    if name is None:
        return Endpoint(url.rstrip("/"))
    owner = _VENDOR_KEYS.get(name)
    if owner is not None and not _same_host(parts, owner) and not _is_loopback(parts):
        raise SetupError(
            f"provider {config.name}: {name} is only ever sent to {_host(owner)}, not to {parts.hostname}",
            "put the key for this endpoint into a variable of another name and write that as api_key_env",
        )
    key = environment.get(name, "").strip()
    if not key:
        way_out = f"export {name}=…" + (", or use another model with --model" if vendor else "")
        raise SetupError(f"provider {config.name}: the environment variable {name} is not set", way_out)
    if not key.isascii() or not key.isprintable():
        raise SetupError(f"provider {config.name}: the key in {name} has characters that no header can carry")
    return Endpoint(url.rstrip("/"), key, name, vendor)


def _checked(provider: str, url: str) -> SplitResult:
    """The parts of `url` if it may be called."""

    def refuse(reason: str, hint: str = "") -> SetupError:
        return SetupError(f"provider {provider}: base_url {url!r} {reason}", hint)

    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise refuse(f"cannot be read: {error}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise refuse("is no http or https URL", "for example http://localhost:8000/v1")
    if "@" in parts.netloc:
        # The URL itself may hold the password: it is not shown.
        raise SetupError(
            f"provider {provider}: its base_url holds a name or password", "name a variable in api_key_env instead"
        )
    if parts.query or parts.fragment:
        raise refuse("has a query or fragment; only the path before the call's own path is kept")
    address = _literal(parts.hostname)
    if address is not None and forbidden(address):
        raise refuse("is an address that no model answers on (link-local or a metadata service)")
    return parts


def forbidden(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """True for link-local addresses and metadata services, also where IPv6 wraps an IPv4 address."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or _nat64(address)
        if inner is not None:
            return forbidden(inner)
    return address.is_link_local or address in _METADATA


def _nat64(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address inside 64:ff9b::/96 (RFC 6052) or ::/96 (the old compatible form)."""
    if int(address) >> 32 in (0x0064FF9B << 64, 0) and int(address) > 1:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return None


def _literal(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address that `host` spells, also as the decimal, octal or hexadecimal that libc accepts."""
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        pass  # not the usual notation; libc knows more of them
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except OSError:
        return None


def _same_host(parts: SplitResult, kind: Kind) -> bool:
    """True for https on the vendor's own host and port."""
    return parts.scheme == "https" and parts.hostname == _host(kind) and parts.port in (None, 443)


def _host(kind: Kind) -> str:
    return urlsplit(kind.base_url or "").hostname or ""


def _is_loopback(parts: SplitResult) -> bool:
    address = _literal(parts.hostname or "")
    return parts.hostname == "localhost" or (address is not None and address.is_loopback)
