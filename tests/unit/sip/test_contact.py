import dataclasses

import pytest

from vault.sip.config import SipConfig
from vault.sip.contact import contact_of
from vault.sip.messages import Request
from vault.sip.peers import Peer, Transport

PEER = Peer(
    transport=Transport.UDP, address="192.0.2.1", port=4, local=("192.0.2.9", 5060)
)


@pytest.mark.parametrize(
    ("transport", "uri", "expected"),
    [
        (Transport.UDP, "sip:a@b", "<sip:callvault@192.0.2.9:5060>"),
        (Transport.TCP, "sip:a@b", "<sip:callvault@192.0.2.9:5060;transport=tcp>"),
        (Transport.TLS, "sip:a@b", "<sip:callvault@192.0.2.9:5060;transport=tls>"),
        (Transport.TLS, "sips:a@b", "<sips:callvault@192.0.2.9:5060;transport=tcp>"),
    ],
)
def test_contact_is_where_the_peer_has_reached_us(
    transport: Transport, uri: str, expected: str
) -> None:
    peer = dataclasses.replace(PEER, transport=transport)
    contact = contact_of(SipConfig(), Request(method="INVITE", uri=uri), peer)

    assert f"{expected};+sip.srs" == contact


def test_what_is_advertised_stands_in_and_tags_may_be_none() -> None:
    config = SipConfig(advertise="2001:db8::5", feature_tags="")
    contact = contact_of(config, Request(method="INVITE", uri="sip:a@b"), PEER)

    assert "<sip:callvault@[2001:db8::5]:5060>" == contact
