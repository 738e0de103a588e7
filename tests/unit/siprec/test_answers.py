from typing import Any

import pytest

from vault.core import errors as e
from vault.core.ids import UserId
from vault.sip.messages import Request, parse_message
from vault.siprec.answers import UnreadableBodyError, refusal, status_of, warning_of

INVITE = (
    b"INVITE sip:srs@127.0.0.1 SIP/2.0\r\n"
    b"Via: SIP/2.0/TCP 127.0.0.1:5062;branch=z9hG4bK1\r\n"
    b"Max-Forwards: 70\r\nFrom: <sip:src@127.0.0.1>;tag=1\r\nTo: <sip:srs@127.0.0.1>\r\n"
    b"Call-ID: abc\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"
)


def invite() -> Request:
    message = parse_message(INVITE)
    assert isinstance(message, Request)
    return message


def every_error() -> list[type[e.VaultError]]:
    found, todo = [], [e.VaultError]
    while todo:
        cls = todo.pop()
        found.append(cls)
        todo += [one for one in cls.__subclasses__() if one.__module__ == e.__name__]
    return found


MORE: dict[type[e.VaultError], dict[str, Any]] = {
    e.RangeNotSatisfiableError: {"size": 1},
    e.IdentityRefusedError: {"reason": "nonce"},
    e.FactorRefusedError: {"user_id": UserId("u"), "reason": "wrong-code"},
}


@pytest.mark.parametrize("cls", every_error())
def test_every_error_has_a_status_that_is_a_refusal(cls: type[e.VaultError]) -> None:
    error = cls("why", **MORE.get(cls, {}))

    assert 400 <= status_of(error) < 600


@pytest.mark.parametrize(
    ("error", "status", "headers"),
    [
        (
            e.UnsupportedOfferError("no suite", line=7),
            488,
            {"Warning": '399 callvault "no suite (line 7 of the SDP)"'},
        ),
        (
            e.SpoolFullError("full", retry_after_s=11),
            503,
            {"Warning": '399 callvault "full"', "Retry-After": "11"},
        ),
        (
            e.ThrottledError("five calls", retry_after_s=3),
            480,
            {"Warning": '399 callvault "five calls"', "Retry-After": "3"},
        ),
        (e.NotFoundError("no such session of this device"), 481, {}),
        (e.ConflictError("the session has ended"), 481, {}),
        (e.SealBrokenError("what lies within"), 500, {}),
    ],
)
def test_the_cause_is_told_where_the_peer_can_do_something_about_it(
    error: e.VaultError, status: int, headers: dict[str, str]
) -> None:
    answer = refusal(invite(), error)
    told = {
        name: answer.headers.get(name)
        for name in ("Warning", "Retry-After")
        if name in answer.headers
    }

    assert (status, headers) == (answer.status, told)


def test_a_body_that_is_not_read_is_answered_with_what_is() -> None:
    answer = refusal(invite(), UnreadableBodyError("no SDP"))

    assert 415 == answer.status
    assert "application/sdp" in (answer.headers.get("Accept") or "")


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        ('a "b" \\', '399 callvault "a \\"b\\" \\\\"'),
        ("x\r\nVia: y", '399 callvault "x Via: y"'),
        ("a\x00\u2028b", '399 callvault "a b"'),
        ("y" * 999, f'399 callvault "{"y" * 300}"'),
    ],
)
def test_a_warning_is_one_line_of_one_quoted_string(text: str, warning: str) -> None:
    assert warning == warning_of(text)
