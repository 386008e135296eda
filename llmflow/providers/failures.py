"""What a failed call was: statuses, error codes and broken connections → `CallFailed`, for every protocol.

One table each for codes and statuses; nothing is ever judged by an error's wording, which vendors
change at will. The kinds decide what happens next (see `errors.FailureKind`): this module only names.
"""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import httpx2

from llmflow.errors import CallFailed, FailureKind
from llmflow.providers.connection import root_cause, tls_problem
from llmflow.providers.endpoints import Endpoint, UnsafeAddress
from llmflow.sanitise import one_line

SHOWN = 300
"""Characters of somebody else's text that an error shows."""

CODES: dict[str, FailureKind] = {
    "billing_error": FailureKind.QUOTA,
    "billing_hard_limit_reached": FailureKind.QUOTA,
    "billing_not_active": FailureKind.QUOTA,
    "contract_spend_limit_reached": FailureKind.QUOTA,
    "credit_balance_exhausted": FailureKind.QUOTA,
    "enforced_spend_limit_reached": FailureKind.QUOTA,
    "insufficient_quota": FailureKind.QUOTA,
    "linked_organization_billing_unavailable": FailureKind.QUOTA,
    "linked_organization_spend_limit_reached": FailureKind.QUOTA,
    "context_length_exceeded": FailureKind.CONTEXT_OVERFLOW,
    "exceed_context_size_error": FailureKind.CONTEXT_OVERFLOW,
    "model_context_window_exceeded": FailureKind.CONTEXT_OVERFLOW,
    "content_filter": FailureKind.REFUSAL,
    "content_policy_violation": FailureKind.REFUSAL,
    "invalid_api_key": FailureKind.AUTH,
    "model_not_found": FailureKind.NOT_FOUND,
}
"""Codes that name a cause more exactly than the status beside them; `code`, `type` or `error_code`."""

STATUSES: dict[int, FailureKind] = {
    401: FailureKind.AUTH,
    402: FailureKind.QUOTA,
    403: FailureKind.AUTH,
    404: FailureKind.NOT_FOUND,
    408: FailureKind.TIMEOUT,
    409: FailureKind.SERVER,
    413: FailureKind.TOO_LARGE,
    425: FailureKind.SERVER,
    429: FailureKind.RATE_LIMIT,
    503: FailureKind.OVERLOADED,
    504: FailureKind.TIMEOUT,
    529: FailureKind.OVERLOADED,
}
"""Other statuses: 5xx is `server`, everything else `invalid_request`."""

TYPES: dict[str, FailureKind] = {
    "api_error": FailureKind.SERVER,
    "authentication_error": FailureKind.AUTH,
    "invalid_request_error": FailureKind.INVALID_REQUEST,
    "not_found_error": FailureKind.NOT_FOUND,
    "overloaded_error": FailureKind.OVERLOADED,
    "permission_error": FailureKind.AUTH,
    "rate_limit_error": FailureKind.RATE_LIMIT,
    "rate_limit_exceeded": FailureKind.RATE_LIMIT,
    "request_too_large": FailureKind.TOO_LARGE,
    "server_error": FailureKind.SERVER,
    "timeout_error": FailureKind.TIMEOUT,
    "unavailable_error": FailureKind.OVERLOADED,
}
"""Broad types, for an error that has no status of its own."""

_KEY_LIKE = re.compile(r"\b(?:sk|pk|key|xox[a-z])-[A-Za-z0-9_*.-]{4,}|\bBearer\s+\S+", re.IGNORECASE)


def from_status(status: int, headers: Mapping[str, str], body: bytes, endpoint: Endpoint) -> CallFailed:
    """The failure that an HTTP status (300 or above) and its body tell of."""
    error = _error_of(body)
    codes = _codes(error)
    kind = next((CODES[code] for code in codes if code in CODES), None) or kind_of_status(status)
    said = _message(error) or body.decode("utf-8", "replace")
    told = [f"{status}", *codes[:1]]
    request_id = headers.get("x-request-id") or headers.get("request-id")
    if request_id:
        told.append(f"request {shown(request_id, endpoint, 80)}")
    told_text = ", ".join(shown(word, endpoint, 100) for word in told)
    if kind is FailureKind.AUTH:
        detail = _auth_detail(status, endpoint)
        said = "" if status == 401 else said  # a 401 likes to repeat the key, or half of it
    elif status < 400:
        detail = "the endpoint redirects, which is not followed: write the address it redirects to as base_url"
        said = ""
    else:
        detail = ""
    text = shown(said, endpoint)
    detail = ": ".join(part for part in (detail, text) if part) or "no reason given"
    return CallFailed(
        kind,
        f"{detail} ({told_text})",
        retry_after=retry_after(headers),
        retryable=False if headers.get("x-should-retry", "").strip().lower() == "false" else None,
    )


def kind_of_status(status: int) -> FailureKind:
    """The kind of a bare status."""
    found = STATUSES.get(status)
    if found is not None:
        return found
    return FailureKind.SERVER if status >= 500 else FailureKind.INVALID_REQUEST


def from_error_reply(data: Any, endpoint: Endpoint) -> CallFailed:
    """The failure that an error without a status tells of: inside a stream, or in a reply that claims success."""
    error = data.get("error", data) if isinstance(data, dict) else data
    codes = _codes(error)
    kind = next((table[code] for table in (CODES, TYPES) for code in codes if code in table), None)
    if kind is None:
        status = error.get("code") if isinstance(error, dict) else None
        kind = kind_of_status(status) if isinstance(status, int) and 400 <= status < 600 else FailureKind.SERVER
    told = f" ({shown(codes[0], endpoint, 100)})" if codes else ""
    text = shown(_message(error) or "", endpoint) or "no reason given"
    return CallFailed(kind, f"an error came instead of an answer: {text}{told}", billed=True)


def from_connection(error: BaseException, endpoint: Endpoint) -> CallFailed:
    """The failure of a call that got no whole reply: the connection could not be made, or broke."""
    where = endpoint.url
    cause = root_cause(error)
    tls = tls_problem(error)
    if tls is not None:
        detail = (
            f"no secure connection to {where}: {shown(tls, endpoint, 120)}; for a certificate of your own, "
            "set SSL_CERT_FILE to a file with its authority"
        )
        return CallFailed(FailureKind.NETWORK, detail, retryable=False)
    if _chain_has(error, UnsafeAddress):
        return CallFailed(FailureKind.NETWORK, f"{where} is refused: {shown(str(cause), endpoint)}", retryable=False)
    if _chain_has(error, aiohttp.ClientConnectorDNSError):
        return CallFailed(FailureKind.NETWORK, f"the name in {where} cannot be resolved")
    if _chain_has(error, httpx2.TimeoutException):
        return CallFailed(FailureKind.TIMEOUT, f"no connection to {where} in time")
    if _chain_has(error, httpx2.ConnectError):
        return CallFailed(FailureKind.NETWORK, f"no connection to {where}: {shown(str(cause), endpoint, 120)}")
    if _chain_has(error, httpx2.DecodingError):
        return CallFailed(FailureKind.NETWORK, f"the reply of {where} cannot be decompressed", billed=True)
    reason = _broken(error) or shown(str(cause), endpoint, 120) or type(cause).__name__
    detail = f"the connection to {where} broke before the reply was whole: {reason}"
    return CallFailed(FailureKind.NETWORK, detail, billed=True)


def _broken(error: BaseException) -> str:
    """A plain word for what aiohttp says in words of its own; empty where it is plain already."""
    if _chain_has(error, aiohttp.ClientPayloadError):
        return "its body broke off"
    if _chain_has(error, aiohttp.ClientResponseError):
        return "what came is no HTTP"
    return ""


def bad_response(reason: str, body: bytes | str, endpoint: Endpoint) -> CallFailed:
    """A reply that came whole and is not what the protocol promises; shows its beginning."""
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else body
    begins = shown(text, endpoint)
    detail = f"{reason}; it begins: {begins}" if begins else f"{reason}; it is empty"
    return CallFailed(FailureKind.BAD_RESPONSE, detail, billed=True)


def shown(text: str, endpoint: Endpoint, limit: int = SHOWN) -> str:
    """Somebody else's text as an error may show it: one line, no control characters, no key, at most `limit`."""
    for secret in endpoint.secrets:
        text = text.replace(secret, "[key]")
    text = _KEY_LIKE.sub("[key]", one_line(text[: 8 * limit]))
    return text if len(text) <= limit else text[: limit - 1] + "…"


def retry_after(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """Seconds the other side asks us to wait, never negative; None where it does not say, or says junk.

    Knows `retry-after-ms`, and `retry-after` as seconds or as a date (seen from `now`, seconds since the epoch).
    """
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = headers.get(name)
        if value is None:
            continue
        try:
            seconds = float(value) * scale
        except ValueError:
            continue
        if math.isfinite(seconds):
            return max(0.0, seconds)
    try:
        moment = parsedate_to_datetime(headers.get("retry-after", "")).timestamp()
    except (ValueError, TypeError, OverflowError, OSError):
        return None
    return max(0.0, moment - (time.time() if now is None else now))


def _auth_detail(status: int, endpoint: Endpoint) -> str:
    if not endpoint.key_env:
        return f"{endpoint.url} wants a key: name the variable that holds it in api_key_env"
    what = "was not accepted" if status == 401 else "may not do this"
    return f"the key in {endpoint.key_env} {what} by {endpoint.url}"


def _error_of(body: bytes) -> Any:
    """The error object of a JSON body, None where there is none."""
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if isinstance(data, list) and data:  # some gateways wrap it
        data = data[0]
    return data.get("error", data) if isinstance(data, dict) else data


def _codes(error: Any) -> list[str]:
    """The stable names in an error object, the most exact first."""
    if not isinstance(error, dict):
        return []
    details = error.get("details")
    exact = details.get("error_code") if isinstance(details, dict) else None
    return [code for code in (exact, error.get("code"), error.get("type")) if isinstance(code, str) and code]


def _message(error: Any) -> str | None:
    if isinstance(error, str):
        return error
    message = error.get("message") if isinstance(error, dict) else None
    return message if isinstance(message, str) else None


def _chain_has(error: BaseException, kind: type[BaseException]) -> bool:
    """True where `error` or one of its causes is a `kind`."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, kind):
            return True
        cause = cause.__cause__
    return False
