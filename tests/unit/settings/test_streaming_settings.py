"""Settings of the stream: what is refused at start, and what is read."""

import pytest
from pydantic import ValidationError

from vault.audit.query import EVERYTHING, Terms, TrailQuery
from vault.settings.streaming import StreamingSettings


def read(**written: object) -> StreamingSettings:
    return StreamingSettings.model_validate(
        {f"audit_stream_{name}": value for name, value in written.items()}
    )


def test_nothing_is_streamed_unless_somebody_says_where() -> None:
    settings = read()

    assert settings.audit_stream_url is None
    assert EVERYTHING == settings.audit_stream_query


def test_a_query_is_read_in_the_officers_language() -> None:
    settings = read(url="tls://siem.example", query="action:access.* -result:ok")

    expected = TrailQuery(
        wanted=Terms(action=("access.*",)), unwanted=Terms(result=("ok",))
    )

    assert expected == settings.audit_stream_query


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ({"url": "udp://siem.example"}, "write it as tls://HOST"),
        ({"url": "tcp://192.0.2.7"}, "not encrypted"),
        ({"url": "tcp://localhost"}, "not encrypted"),
        ({"cert": "/etc/cert.pem"}, "go together"),
        ({"query": "actor:ada"}, "ids, not names"),
        ({"query": "created:24h"}, "no end"),
        ({"query": "actoin:x"}, "did you mean"),
        ({"format": "csv"}, "'cef', 'json', 'leef' or 'ocsf'"),
        ({"name": "../siem"}, "match pattern"),
    ],
)
def test_what_cannot_work_is_refused_with_the_way_out(
    written: dict[str, object], words: str
) -> None:
    with pytest.raises(ValidationError, match=words):
        read(**written)


@pytest.mark.parametrize(
    "written",
    [
        {"url": "tcp://127.0.0.1:601"},
        {"url": "tcp://192.0.2.7", "allow_clear": True},
    ],
)
def test_plain_tcp_is_for_loopback_or_for_who_insists(
    written: dict[str, object],
) -> None:
    assert read(**written).audit_stream_url
