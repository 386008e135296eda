"""A wheel from the package index that this machine is configured for, without pip or uv.

It reads the index's address from where pip and uv read it (environment, then pip's files), speaks the
simple repository API (PEP 503, PEP 691) and knows no model.
"""

from __future__ import annotations

import base64
import configparser
import hashlib
import html.parser
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

CHUNK = 1 << 18
PATIENCE = 30.0
"""Seconds without a byte after which a download counts as dead."""


class IndexFailed(Exception):
    """The wheel is not to be had; the text says why, in one line."""


def index_addresses(environment: Mapping[str, str]) -> list[str]:
    """The addresses of the configured indexes, most specific first, no duplicates; may be empty."""
    found: list[str] = []
    for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL", "UV_INDEX", "PIP_EXTRA_INDEX_URL"):
        # uv lets a name stand before an address: `internal=https://…`
        found += [word.partition("=")[2] if "=http" in word else word for word in environment.get(name, "").split()]
    for path in _pip_files(environment):
        parser = configparser.RawConfigParser()
        try:
            parser.read(path, encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError):
            continue  # pip itself will have complained about it
        for section in ("global", "download"):
            for key in ("index-url", "extra-index-url"):
                found += parser.get(section, key, fallback="").split()
    return list(dict.fromkeys(address.rstrip("/") for address in found))


def _pip_files(environment: Mapping[str, str]) -> Iterator[Path]:
    named = environment.get("PIP_CONFIG_FILE")
    if named is not None:
        if named != os.devnull:
            yield Path(named)
        return
    home = Path(environment.get("HOME") or Path.home())
    yield Path(environment.get("XDG_CONFIG_HOME") or home / ".config") / "pip" / "pip.conf"
    yield home / ".pip" / "pip.conf"
    yield Path("/etc/pip.conf")


def download(
    package: str,
    version: str,
    place: Path,
    environment: Mapping[str, str],
    report: Callable[[int, int], None] | None = None,
) -> Path:
    """The wheel of `package` at `version`, stored in `place`. `report` gets bytes so far and in all.

    Raises IndexFailed where no index is configured or none of them has it. The hash that the index
    states is checked.
    """
    addresses = index_addresses(environment)
    if not addresses:
        raise IndexFailed("no index address is configured (PIP_INDEX_URL, UV_DEFAULT_INDEX or pip.conf)")
    reason = ""
    for address in addresses:
        try:
            link = _wheel_link(address, package, version)
            if link is None:
                reason = reason or f"{_shown(address)} has no wheel of {package} {version}"
                continue
            return _store(link, address, place, report)
        except (OSError, ValueError) as error:
            reason = f"{_shown(address)}: {error}"
    raise IndexFailed(reason)


def _shown(address: str) -> str:
    """The address without a user name or password in it."""
    parts = urllib.parse.urlsplit(address)
    return urllib.parse.urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _request(address: str, index: str) -> urllib.request.Request:
    """A request for `address` with the name and password that `index` holds, if that is its host."""
    parts, owner = urllib.parse.urlsplit(address), urllib.parse.urlsplit(index)
    if parts.scheme not in ("http", "https", "file"):
        raise ValueError(f"cannot read addresses like {parts.scheme}:")
    request = urllib.request.Request(_shown(address))
    if owner.username is not None and (owner.scheme, owner.hostname) == (parts.scheme, parts.hostname):
        pair = f"{urllib.parse.unquote(owner.username)}:{urllib.parse.unquote(owner.password or '')}"
        request.add_header("Authorization", "Basic " + base64.b64encode(pair.encode()).decode())
    return request


class _Links(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if tag == "a" and name == "href" and value]


def _wheel_link(address: str, package: str, version: str) -> str | None:
    """The address of the pure-Python wheel, with the index's `#sha256=…`; None where the index has none."""
    page = f"{address}/{package}/"
    if page.startswith("file:"):
        page += "index.html"
    try:
        with urllib.request.urlopen(_request(page, address), timeout=PATIENCE) as answer:
            links = _Links()
            links.feed(answer.read().decode("utf-8", "replace"))
            base = str(answer.url)
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return None
        raise
    stem = f"{package.replace('-', '_')}-{version}-"
    for link in links.found:
        full = urllib.parse.urljoin(base, link)
        name = urllib.parse.unquote(urllib.parse.urlsplit(full).path.rpartition("/")[2])
        if name.startswith(stem) and name.endswith("-none-any.whl"):
            return full
    return None


def _store(link: str, address: str, place: Path, report: Callable[[int, int], None] | None) -> Path:
    parts = urllib.parse.urlsplit(link)
    target = place / urllib.parse.unquote(parts.path.rpartition("/")[2])
    digest = hashlib.sha256()
    with (
        urllib.request.urlopen(_request(urllib.parse.urldefrag(link).url, address), timeout=PATIENCE) as answer,
        target.open("wb") as file,
    ):
        total, there = int(answer.headers.get("Content-Length") or 0), 0
        while chunk := answer.read(CHUNK):
            file.write(chunk)
            digest.update(chunk)
            there += len(chunk)
            if report is not None:
                report(there, max(total, there))
    if total and there < total:
        raise ValueError(f"the download ended after {there} of {total} bytes")
    stated = urllib.parse.parse_qs(parts.fragment).get("sha256", [""])[0]
    if stated and stated != digest.hexdigest():
        raise ValueError("the download does not match the index's checksum")
    return target
