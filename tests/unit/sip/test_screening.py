import pytest

from vault.core.errors import MalformedSignallingError
from vault.sip.headers import Via
from vault.sip.messages import Headers, Request, parse_message, respond
from vault.sip.peers import Peer, Transport
from vault.sip.screening import Screen, default_port, reopened_port, stamped

PEER = Peer(transport=Transport.UDP, address="192.0.2.1", port=40000)


def request(method: str = "INVITE", *rows: tuple[str, str], via: str = "") -> Request:
    via = via or "SIP/2.0/UDP 10.0.0.1:5070;branch=z9hG4bK1"
    return Request(
        method=method,
        uri="sip:srs@192.0.2.9",
        headers=Headers(
            [
                ("Via", via),
                ("Via", "SIP/2.0/UDP 10.9.9.9;branch=z9hG4bK0"),
                ("From", "<sip:a@b>;tag=1"),
                ("To", "<sip:c@d>"),
                ("Call-ID", "x"),
                ("CSeq", f"1 {method}"),
                *rows,
            ]
        ),
    )


class TestStamp:
    def test_rport_is_filled_in_and_answered_at_the_source(self) -> None:
        seen, back = stamped(
            request(via="SIP/2.0/UDP 10.0.0.1;rport;branch=z9hG4bK1"), PEER
        )
        via = Via.parse(seen.headers.values("Via")[0])

        assert ("40000", "192.0.2.1") == (
            via.parameters.get("rport"),
            via.parameters.get("received"),
        )
        assert 40000 == back.port
        assert 2 == len(seen.headers.values("Via"))

    @pytest.mark.parametrize(
        ("via", "port"),
        [
            ("SIP/2.0/UDP 10.0.0.1:5070;branch=z9hG4bK1", 5070),
            ("SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK1", 5060),
            ("SIP/2.0/UDP 10.0.0.1:0;branch=z9hG4bK1", 5060),
            ("SIP/2.0/UDP 10.0.0.1;maddr=203.0.113.1;branch=z9hG4bK1", 5060),
            ("SIP/2.0/UDP 10.0.0.1;received=203.0.113.1;branch=z9hG4bK1", 5060),
        ],
    )
    def test_without_rport_via_says_the_port_and_the_kernel_the_address(
        self, via: str, port: int
    ) -> None:
        seen, back = stamped(request(via=via), PEER)

        assert ("192.0.2.1", port) == (back.address, back.port)
        stamp = Via.parse(seen.headers.values("Via")[0])
        assert "192.0.2.1" == stamp.parameters.get("received")

    def test_a_via_that_is_true_stays_as_it_is(self) -> None:
        plain = request(via="SIP/2.0/UDP 192.0.2.1:5070;branch=z9hG4bK1")

        assert plain == stamped(plain, PEER)[0]

    def test_several_hops_in_one_line_keep_their_order(self) -> None:
        via = (
            "SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK1, SIP/2.0/UDP 10.0.0.2;branch=z9hG4bK2"
        )
        hops = stamped(request(via=via), PEER)[0].headers.values("Via")

        assert ["10.0.0.1", "10.0.0.2", "10.9.9.9"] == [
            Via.parse(hop).host for hop in hops
        ]

    def test_a_request_without_via_is_malformed(self) -> None:
        with pytest.raises(MalformedSignallingError):
            stamped(Request(method="INVITE", uri="sip:a@b"), PEER)

    def test_a_connection_is_reopened_where_via_says(self) -> None:
        answer = respond(request(via="SIP/2.0/TCP 10.0.0.1:5070;branch=z9hG4bK1"), 200)

        assert 5070 == reopened_port(answer, Transport.TCP)
        bare = respond(request(via="SIP/2.0/TLS 10.0.0.1;branch=z9hG4bK1"), 200)
        assert (5061, 5060) == (
            reopened_port(bare, Transport.TLS),
            default_port(Transport.TCP),
        )


class TestScreen:
    @pytest.mark.parametrize(
        "method", ["INVITE", "BYE", "CANCEL", "OPTIONS", "INFO", "UPDATE", "PRACK"]
    )
    def test_what_is_done_here_passes(self, method: str) -> None:
        assert Screen().refusal(request(method)) is None

    @pytest.mark.parametrize(
        ("method", "rows", "status"),
        [
            ("REGISTER", [], 405),
            ("PUBLISH", [], 405),
            ("invite", [], 501),
            ("INVITE", [("Require", "siprec, foo")], 420),
            ("INVITE", [("Content-Encoding", "gzip")], 415),
        ],
    )
    def test_what_is_not_done_here_is_refused(
        self, method: str, rows: list[tuple[str, str]], status: int
    ) -> None:
        refused = Screen().refusal(request(method, *rows))

        assert refused is not None
        assert status == refused.status

    def test_a_cancel_is_not_refused_for_what_it_requires(self) -> None:
        assert Screen().refusal(request("CANCEL", ("Require", "foo"))) is None

    @pytest.mark.parametrize("uri", ["soap.beep://x", "http://x", "nonsense"])
    def test_other_schemes_are_416(self, uri: str) -> None:
        refused = Screen().refusal(
            Request(method="INVITE", uri=uri, headers=request().headers)
        )

        assert refused is not None
        assert 416 == refused.status

    def test_copies_are_refused_alike_and_screens_are_not(self) -> None:
        one, other = Screen(), Screen()
        refused = one.refused(request(), 404)

        assert refused == one.refused(request(), 404)
        assert refused != other.refused(request(), 404)
        assert parse_message(bytes(refused)) is not None

    def test_a_tag_that_is_there_stays(self) -> None:
        answer = respond(request(), 403, to_tag="ours")

        assert answer == Screen().tagged(request(), answer)
