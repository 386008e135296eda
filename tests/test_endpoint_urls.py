"""Where a provider may be: http and https, anywhere but the machine's own metadata service."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmflow.language.endpoint_urls import is_forbidden_address, is_forbidden_host, url_problem


@pytest.mark.parametrize(
    "url",
    [
        "https://api.openai.com/v1",
        "http://127.0.0.1:8080/v1",
        "http://localhost:11434",
        "http://10.0.0.7:8000/v1",
        "http://[::1]:8000",
        "http://[2001:db8::1]/v1",
        "http://gpu-1.example.org/v1?api-version=1",
        "http://169.254.example.org/",
        "http://1.2.3.4.5/",
    ],
)
def test_an_endpoint_of_the_net_or_the_own_machine_is_fine(url: str) -> None:
    assert url_problem(url) is None


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "169.254.0.1",
        "2852039166",
        "0xA9FEA9FE",
        "0xa9.0xfe.0xa9.0xfe",
        "0251.0376.0251.0376",
        "169.254.43518",
        "169.16689662",
        "169.254.169.254.",
        "[::ffff:169.254.169.254]",
        "[::ffff:a9fe:a9fe]",
        "[0:0:0:0:0:ffff:a9fe:a9fe]",
        "[::169.254.169.254]",
        "[64:ff9b::a9fe:a9fe]",
        "[2002:a9fe:a9fe::]",
        "[fe80::1]",
        "[fd00:ec2::254]",
        "[fd00:0ec2:0:0:0:0:0:254]",
        "100.100.100.200",
        "metadata.google.internal",
        "METADATA.google.internal.",
    ],
)
def test_a_link_local_or_metadata_address_is_refused_in_every_form(host: str) -> None:
    problem = url_problem(f"http://{host}:80/latest")
    assert problem is not None
    assert problem[0].endswith("is a link-local or metadata address")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.org",
        "ftp://example.org",
        "file:///etc/passwd",
        "http://",
        "http:///v1",
        "http://[::1",
        "http://example.org:99999",
        "http://example.org:0",
        "http://user@example.org",
        "http://:secret@example.org",
        "http://exa mple.org",
        "http://example.org/\n",
        "http://169。254。169。254/",
        "http://１６９.254.169.254/",
        "http://%31%36%39.254.169.254/",
        "http://example.org\\@169.254.169.254/",
        "http://{{ inputs.host }}/",
        "http://{% raw %}x{% endraw %}/",
    ],
)
def test_what_is_not_a_plain_http_url_is_refused(url: str) -> None:
    assert url_problem(url) is not None


@given(st.integers(0, 2**32 - 1))
def test_every_form_of_an_ipv4_address_is_judged_alike(number: int) -> None:
    dotted = str(ipaddress.IPv4Address(number))
    expected = is_forbidden_address(dotted)
    octets = dotted.split(".")
    forms = [
        str(number),
        hex(number),
        ".".join(hex(int(o)) for o in octets),
        ".".join(f"0{int(o):o}" for o in octets),
        f"{octets[0]}.{number & 0xFFFFFF}",
        f"{octets[0]}.{octets[1]}.{number & 0xFFFF}",
        f"::ffff:{dotted}",
    ]
    assert [is_forbidden_host(form) for form in forms] == [expected] * len(forms)
