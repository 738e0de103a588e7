from dataclasses import replace

import pytest

from tests.simulators.sip_caller import OFFER, STRANGER, TLS, UDP, Caller, sent
from vault.core.errors import UnavailableError
from vault.sip.client_transactions import Came, ClientTransactions, TimedOut
from vault.sip.dialog import Dialog
from vault.sip.messages import Headers, Request, Response, parse_message, respond
from vault.sip.peers import Outgoing, Peer


def dialog() -> Dialog:
    invite = Caller().request("INVITE", body=OFFER)
    return Dialog.of(invite, local_tag="ours", contact="<sip:srs@h>", peer=UDP)


def answer_to(out: Outgoing, status: int) -> Response:
    request = parse_message(out.message)
    assert isinstance(request, Request)
    return respond(request, status)


def waited(
    transactions: ClientTransactions, seconds: float
) -> list[tuple[float, object]]:
    """Let time pass from 0; return what happened and when."""
    happened = []
    while (due_s := transactions.next_due_s) is not None and due_s <= seconds:
        found, _ = transactions.due(due_s)
        happened += [(due_s, one) for one in found]
    return happened


class TestStart:
    def test_a_request_gets_a_via_whose_branch_nobody_can_guess(self) -> None:
        transactions = ClientTransactions()
        branch, out = transactions.start(dialog().request("BYE"), UDP, 0.0)
        _, other = transactions.start(dialog().request("BYE"), UDP, 0.0)

        assert out.message.startswith(b"BYE sip:src@192.0.2.1:5062 SIP/2.0\r\nVia: ")
        assert f"SIP/2.0/UDP 198.51.100.7:5060;branch={branch};rport" == sent(
            out
        ).headers.one("Via")
        assert sent(out).headers.one("Via") != sent(other).headers.one("Via")
        assert UDP == out.peer

    @pytest.mark.parametrize(
        ("peer", "sent_by", "start"),
        [
            (TLS, "", "SIP/2.0/TLS 198.51.100.7:5060;"),
            (TLS, "srs.example.com:5061", "SIP/2.0/TLS srs.example.com:5061;"),
            (
                replace(UDP, local=("2001:db8::7", 5060)),
                "",
                "SIP/2.0/UDP [2001:db8::7]:5060;",
            ),
        ],
    )
    def test_answers_are_asked_for_where_we_listen(
        self, peer: Peer, sent_by: str, start: str
    ) -> None:
        _, out = ClientTransactions().start(
            dialog().request("BYE"), peer, 0.0, sent_by=sent_by
        )

        assert sent(out).headers.one("Via").startswith(start)

    def test_too_many_at_once_are_refused(self) -> None:
        transactions = ClientTransactions(most=1)
        transactions.start(dialog().request("BYE"), UDP, 0.0)

        with pytest.raises(UnavailableError):
            transactions.start(dialog().request("BYE"), UDP, 0.0)


class TestRepeating:
    def test_a_bye_is_repeated_over_udp_for_32_s(self) -> None:
        transactions = ClientTransactions()
        branch, out = transactions.start(dialog().request("BYE"), UDP, 0.0)
        happened = waited(transactions, 60)

        assert [0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5] == [
            at for at, one in happened if one == out
        ]
        assert (32.0, TimedOut(branch=branch)) == happened[-1]
        assert 11 == len(happened)
        assert 0 == len(transactions)

    def test_a_re_invite_doubles_without_end(self) -> None:
        transactions = ClientTransactions()
        transactions.start(dialog().request("INVITE"), UDP, 0.0)

        assert [0.5, 1.5, 3.5, 7.5, 15.5, 31.5, 32.0] == [
            at for at, _ in waited(transactions, 60)
        ]

    def test_over_tls_nothing_is_repeated(self) -> None:
        transactions = ClientTransactions()
        branch, _ = transactions.start(dialog().request("BYE"), TLS, 0.0)

        assert [(32.0, TimedOut(branch=branch))] == waited(transactions, 60)

    def test_a_provisional_answer_slows_a_bye_and_silences_an_invite(self) -> None:
        transactions = ClientTransactions()
        _, bye = transactions.start(dialog().request("BYE"), UDP, 0.0)
        branch, invite = transactions.start(dialog().request("INVITE"), UDP, 0.0)
        first = transactions.receive(answer_to(bye, 100), UDP, 0.1)
        transactions.receive(answer_to(invite, 180), UDP, 0.1)
        happened = waited(transactions, 200)

        assert Came.PROVISIONAL == first.what
        assert [0.5, 4.5, 8.5] == [at for at, one in happened if one == bye][:3]
        assert (180.1, TimedOut(branch=branch)) == happened[-1]
        assert not [at for at, one in happened if one == invite]

    def test_an_answer_ends_the_repeating(self) -> None:
        transactions = ClientTransactions()
        branch, out = transactions.start(dialog().request("BYE"), UDP, 0.0)
        reply = transactions.receive(answer_to(out, 200), UDP, 0.1)

        assert (Came.FINAL, branch, ()) == (reply.what, reply.branch, reply.send)
        assert [] == waited(transactions, 60)
        assert Came.STRAY == transactions.receive(answer_to(out, 200), UDP, 0.2).what

    def test_what_could_not_be_sent_is_given_up(self) -> None:
        transactions = ClientTransactions()
        branch, _ = transactions.start(dialog().request("BYE"), UDP, 0.0)
        transactions.fail(branch)
        transactions.fail(branch)

        assert [] == waited(transactions, 60)
        assert 0 == len(transactions)


class TestAcknowledging:
    def test_a_2xx_gets_the_same_ack_each_time(self) -> None:
        transactions, ours = ClientTransactions(), dialog()
        invite = ours.request("INVITE", body=OFFER, content_type="application/sdp")
        branch, out = transactions.start(invite, UDP, 0.0)
        ok = answer_to(out, 200)
        first = transactions.receive(ok, UDP, 0.1)
        early = transactions.receive(ok, UDP, 0.15)
        ack = transactions.acknowledge(branch, ours.acknowledge(invite))
        copies = [transactions.receive(ok, UDP, 0.2) for _ in range(3)]

        assert (Came.FINAL, ()) == (first.what, first.send)
        assert (Came.REPEATED, ()) == (early.what, early.send)
        assert [ack] * 3 == [copy.send for copy in copies]
        assert branch not in sent(ack[0]).headers.one("Via")
        assert [] == waited(transactions, 60)
        assert 0 == len(transactions)

    def test_a_refusal_gets_an_ack_of_the_same_transaction(self) -> None:
        transactions, ours = ClientTransactions(), dialog()
        ours.route_set = ("<sip:p1;lr>",)
        _, out = transactions.start(ours.request("INVITE"), UDP, 0.0)
        refusal = answer_to(out, 491)
        first = transactions.receive(refusal, UDP, 0.1)
        copy = transactions.receive(refusal, UDP, 0.2)
        ack = sent(first.send[0])

        assert (Came.FINAL, Came.REPEATED) == (first.what, copy.what)
        assert first.send == copy.send
        assert isinstance(ack, Request)
        assert sent(out).headers.one("Via") == ack.headers.one("Via")
        assert "1 ACK" == ack.headers.one("CSeq")
        assert "<sip:p1;lr>" == ack.headers.one("Route")
        assert b"" == ack.body

    def test_without_a_2xx_there_is_nothing_to_acknowledge(self) -> None:
        transactions, ours = ClientTransactions(), dialog()
        invite = ours.request("INVITE")
        branch, _ = transactions.start(invite, UDP, 0.0)

        assert () == transactions.acknowledge(branch, ours.acknowledge(invite))
        assert () == transactions.acknowledge("other", ours.acknowledge(invite))


class TestStrays:
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("Via", "SIP/2.0/UDP 198.51.100.7:5060;branch=z9hG4bKguess"),
            ("Via", "nonsense"),
            ("CSeq", "1 INVITE"),
            ("CSeq", "BYE"),
        ],
    )
    def test_an_answer_to_something_else_is_one(self, name: str, value: str) -> None:
        transactions = ClientTransactions()
        _, out = transactions.start(dialog().request("BYE"), UDP, 0.0)
        ok = answer_to(out, 200)
        headers = ok.headers.without(name).with_(name, value)

        reply = transactions.receive(replace(ok, headers=headers), UDP, 0.1)

        assert Came.STRAY == reply.what
        assert 1 == len(transactions)

    def test_an_answer_meant_for_somebody_before_us_is_one(self) -> None:
        transactions = ClientTransactions()
        _, out = transactions.start(dialog().request("BYE"), UDP, 0.0)
        ok = answer_to(out, 200)
        two = Headers((*ok.headers, ("Via", "SIP/2.0/UDP 192.0.2.5")))

        assert (
            Came.STRAY == transactions.receive(replace(ok, headers=two), UDP, 0.1).what
        )

    def test_an_answer_in_the_clear_to_what_was_sent_encrypted_is_one(self) -> None:
        transactions = ClientTransactions()
        _, out = transactions.start(dialog().request("BYE"), TLS, 0.0)

        assert Came.STRAY == transactions.receive(answer_to(out, 481), UDP, 0.1).what

    def test_a_proxy_may_answer_from_another_address(self) -> None:
        transactions = ClientTransactions()
        _, out = transactions.start(dialog().request("BYE"), UDP, 0.0)

        assert (
            Came.FINAL == transactions.receive(answer_to(out, 200), STRANGER, 0.1).what
        )

    def test_a_response_without_headers_is_one(self) -> None:
        assert (
            Came.STRAY
            == ClientTransactions().receive(Response(status=200), UDP, 0.0).what
        )
