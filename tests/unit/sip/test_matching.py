from dataclasses import replace

import pytest

from tests.simulators.sip_caller import TLS, UDP, Caller
from vault.core.errors import MalformedSignallingError
from vault.sip.matching import Heading, fresh_branch, fresh_tag, names


def test_an_ack_and_a_cancel_name_their_invite() -> None:
    caller = Caller()
    invite = caller.request("INVITE", branch="z9hG4bK77")
    key = Heading.of(invite, UDP).key
    ack = caller.ack(invite, to_tag="t", branch="z9hG4bK77")

    assert key == Heading.of(ack, UDP).key
    assert key == Heading.of(caller.cancel(invite), UDP).key.of("INVITE")


@pytest.mark.parametrize(
    "peer",
    [
        replace(UDP, address="192.0.2.2"),
        replace(TLS, certificate_sha256=None),
        TLS,
        replace(TLS, certificate_sha256=bytes(32)),
    ],
)
def test_the_same_words_of_somebody_else_are_another_transaction(peer: object) -> None:
    invite = Caller().request("INVITE")

    assert Heading.of(invite, UDP).key != Heading.of(invite, peer).key  # type: ignore[arg-type]


def test_a_new_port_or_connection_is_the_same_sender() -> None:
    invite = Caller().request("INVITE")
    moved = replace(TLS, port=4, connection=8)

    assert Heading.of(invite, TLS).key == Heading.of(invite, moved).key


def test_without_tags_the_names_are_empty() -> None:
    bare = Caller(from_tag="").request("INVITE")
    headers = bare.headers.without("From").with_("From", "sip:old@example.com")

    assert ("call-1@192.0.2.1", "", "") == names(replace(bare, headers=headers))


def test_an_empty_call_id_names_nothing() -> None:
    bare = Caller(call_id="").request("INVITE")

    with pytest.raises(MalformedSignallingError):
        names(bare)


def test_what_we_invent_is_never_the_same() -> None:
    assert 200 == len(
        {fresh_tag() for _ in range(100)} | {fresh_branch() for _ in range(100)}
    )
    assert fresh_branch().startswith("z9hG4bK")
    assert 24 == len(fresh_tag())
