from dataclasses import replace

import pytest

from tests.simulators.sip_caller import ANSWER, OFFER, TLS, UDP, Caller
from vault.core.errors import MalformedSignallingError
from vault.sip.dialog import Dialog, Outcome, Refusal, Then, too_brief
from vault.sip.messages import Headers, Request, Response, respond
from vault.sip.peers import Peer
from vault.sip.session_timer import Refresher, SessionTimer

CONTACT = "<sip:srs@198.51.100.7:5060>;+sip.srs"
TIMED = (("Supported", "timer"), ("Session-Expires", "600"))
FORCED = (("Supported", "timer"), ("Session-Expires", "600;refresher=uas"))


def opened(
    *more: tuple[str, str], caller: Caller | None = None, peer: Peer = UDP
) -> tuple[Caller, Dialog, Response]:
    """Let an INVITE make a dialog, as the user agent does."""
    caller = caller or Caller()
    invite = caller.request("INVITE", *more, body=OFFER)
    dialog = Dialog.of(invite, local_tag="ours", contact=CONTACT, peer=peer)
    ok = answered(invite, 200, ANSWER, tag="ours")
    ok = dialog.settle(invite, ok, peer, 1000.0)
    caller.to_tag = "ours"
    return caller, dialog, ok


def answered(
    request: Request, status: int = 200, body: bytes = b"", tag: str = ""
) -> Response:
    kind = "application/sdp" if body else ""
    return respond(request, status, body=body, content_type=kind, to_tag=tag)


def reply(status: int, *headers: tuple[str, str]) -> Response:
    return Response(status=status, headers=Headers(headers))


class TestMaking:
    def test_a_dialog_is_what_the_invite_says_seen_from_our_side(self) -> None:
        routes = (
            ("Record-Route", "<sip:p2.example.com;lr>, <sip:p1.example.com;lr>"),
            ("Record-Route", "<sip:p0.example.com;lr>"),
        )
        _, dialog, ok = opened(*routes)

        assert ("call-1@192.0.2.1", "ours", "caller-1") == dialog.id
        assert '"Alice" <sip:alice@example.com>' == dialog.remote_uri
        assert "<sip:srs@example.com>" == dialog.local_uri
        assert "sip:src@192.0.2.1:5062" == dialog.remote_target
        assert ["p2", "p1", "p0"] == [route[5:7] for route in dialog.route_set]
        assert "sip:p2.example.com;lr" == dialog.next_hop
        assert [row[1] for row in routes] == list(ok.headers.all("Record-Route"))
        assert CONTACT == ok.headers.one("Contact")

    @pytest.mark.parametrize(
        ("contact", "target"),
        [
            (
                "<sip:src@sbc_1:5060;transport=tcp;+sip.src",
                "sip:src@sbc_1:5060;transport=tcp",
            ),
            ("sip:src@192.0.2.9;src", "sip:src@192.0.2.9"),
            ("*", "sip:192.0.2.1:5060;transport=udp"),
            ("<tel:+4930123456>", "sip:192.0.2.1:5060;transport=udp"),
            ("nonsense", "sip:192.0.2.1:5060;transport=udp"),
            ("", "sip:192.0.2.1:5060;transport=udp"),
        ],
    )
    def test_a_contact_of_no_use_leaves_where_the_invite_came_from(
        self, contact: str, target: str
    ) -> None:
        _, dialog, _ = opened(caller=Caller(contact=contact))

        assert target == dialog.remote_target

    def test_the_place_of_a_peer_of_ipv6_is_bracketed(self) -> None:
        peer = replace(UDP, address="2001:db8::1")
        _, dialog, _ = opened(caller=Caller(contact=""), peer=peer)

        assert "sip:[2001:db8::1]:5060;transport=udp" == dialog.remote_target

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("From", f"<sip:{'x' * 4100}@example.com>;tag=1"),
            ("To", "nobody"),
            ("CSeq", "INVITE"),
            ("Record-Route", ", ".join(["<sip:proxy.example.com;lr>"] * 200)),
            ("Record-Route", "nowhere"),
        ],
    )
    def test_what_is_not_worth_keeping_makes_none(self, name: str, value: str) -> None:
        invite = Caller().request("INVITE")
        headers = invite.headers.without(name).with_(name, value)

        with pytest.raises(MalformedSignallingError):
            Dialog.of(
                replace(invite, headers=headers), local_tag="t", contact="", peer=UDP
            )

    def test_nobodys_number_is_in_its_repr(self) -> None:
        _, dialog, _ = opened()

        assert "alice" not in repr(dialog)
        assert "src@" not in repr(dialog)


class TestOrder:
    def test_a_lower_cseq_is_refused(self) -> None:
        caller, dialog, _ = opened()
        caller.cseq = 10
        later = caller.request("UPDATE")
        assert dialog.take(later) is None
        dialog.settle(later, answered(later), UDP, 1.0)

        assert Refusal(status=500, reason="CSeq Out Of Order") == dialog.take(
            caller.request("BYE", cseq=10 - 1)
        )

    def test_the_same_request_under_another_branch_is_refused(self) -> None:
        caller, dialog, _ = opened()
        again = dialog.take(caller.request("INVITE", cseq=1))

        assert again is not None
        assert 500 == again.status

    def test_a_peer_that_counts_carelessly_can_hang_up(self) -> None:
        caller, dialog, _ = opened()

        assert dialog.take(caller.request("BYE", cseq=1)) is None

    def test_a_gap_in_cseq_is_none(self) -> None:
        caller, dialog, _ = opened()

        assert dialog.take(caller.request("BYE", cseq=4_000_000_000)) is None

    @pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
    def test_an_offer_beside_an_unanswered_one_of_theirs_is_put_off(
        self, method: str
    ) -> None:
        caller, dialog, _ = opened()
        first = caller.request("INVITE", body=OFFER)
        assert dialog.take(first) is None
        refusal = dialog.take(caller.request(method, body=OFFER))
        dialog.settle(first, answered(first), UDP, 1.0)

        assert refusal is not None
        assert (500, "Retry-After") == (refusal.status, refusal.headers[0][0])
        assert 0 <= int(refusal.headers[0][1]) <= 10
        assert dialog.take(caller.request(method, body=OFFER)) is None

    def test_an_update_beside_an_unanswered_update_is_put_off(self) -> None:
        caller, dialog, _ = opened()
        first = caller.request("UPDATE")
        assert dialog.take(first) is None
        refusal = dialog.take(caller.request("UPDATE"))

        assert refusal is not None
        assert 500 == refusal.status

    @pytest.mark.parametrize(
        ("method", "body", "kind"),
        [
            ("UPDATE", b"", ""),
            ("UPDATE", b"<recording/>", "application/rs-metadata+xml"),
            ("INFO", b"<recording/>", "application/rs-metadata"),
            ("BYE", b"", ""),
        ],
    )
    def test_what_offers_nothing_waits_for_nothing(
        self, method: str, body: bytes, kind: str
    ) -> None:
        caller, dialog, _ = opened()
        assert dialog.take(caller.request("INVITE", body=OFFER)) is None

        assert dialog.take(caller.request(method, body=body, kind=kind)) is None

    def test_glare_is_answered_491_until_ours_is_answered(self) -> None:
        caller, dialog, _ = opened(*FORCED)
        ours = dialog.refresh()
        glare = dialog.take(caller.request("INVITE", body=OFFER))
        update = dialog.take(caller.request("UPDATE", body=OFFER))
        silent = dialog.take(caller.request("UPDATE"))
        dialog.answered(ours, reply(491), 1.0)

        assert ("INVITE", Refusal(status=491)) == (ours.method, glare)
        assert (Refusal(status=491), None) == (update, silent)

    def test_an_offer_that_we_refused_is_no_longer_in_the_way(self) -> None:
        caller, dialog, _ = opened()
        first = caller.request("INVITE", body=OFFER)
        dialog.take(first)
        dialog.settle(first, answered(first, 488), UDP, 1.0)

        assert dialog.take(caller.request("INVITE", body=OFFER)) is None

    def test_a_timer_too_small_is_refused_before_anybody_acts_on_it(self) -> None:
        caller, dialog, _ = opened()
        brief = (("Supported", "timer"), ("Session-Expires", "30"))
        refusal = dialog.take(caller.request("UPDATE", *brief))

        assert Refusal(status=422, headers=(("Min-SE", "90"),)) == refusal
        assert refusal == too_brief(Caller().request("INVITE", *brief), min_se_s=90)
        assert too_brief(Caller().request("INFO", *brief), min_se_s=90) is None


class TestSettling:
    @pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
    def test_a_2xx_refreshes_the_target_and_says_ours_again(self, method: str) -> None:
        caller, dialog, _ = opened()
        caller.contact = "<sip:moved@192.0.2.77>"
        request = caller.request(method)
        dialog.take(request)
        moved = replace(UDP, address="192.0.2.77")
        ok = dialog.settle(request, answered(request), moved, 1.0)

        assert "sip:moved@192.0.2.77" == dialog.remote_target
        assert CONTACT == ok.headers.one("Contact")
        assert moved == dialog.peer

    def test_a_refused_request_changes_nothing(self) -> None:
        caller, dialog, _ = opened(*TIMED)
        before = dialog.state()
        caller.contact = "<sip:thief@203.0.113.66>"
        request = caller.request("UPDATE", cseq=2)
        dialog.take(request)
        dialog.settle(request, answered(request, 403), replace(UDP, address="x"), 9.0)
        dialog.remote_cseq = 1

        assert before == dialog.state()

    @pytest.mark.parametrize("method", ["INFO", "BYE", "OPTIONS"])
    def test_other_requests_do_not_move_the_target(self, method: str) -> None:
        caller, dialog, _ = opened()
        caller.contact = "<sip:elsewhere@192.0.2.77>"
        request = caller.request(method)
        dialog.take(request)
        answer = answered(request)

        assert answer == dialog.settle(request, answer, UDP, 1.0)
        assert "sip:src@192.0.2.1:5062" == dialog.remote_target

    def test_the_contact_of_the_application_is_not_said_twice(self) -> None:
        caller, dialog, _ = opened()
        request = caller.request("INVITE")
        dialog.take(request)
        ok = respond(request, 200, headers=(("Contact", "<sip:other@h>"),))

        assert "<sip:other@h>" == dialog.settle(request, ok, UDP, 1.0).headers.one(
            "Contact"
        )

    def test_what_timers_need_joins_what_the_application_says(self) -> None:
        caller, dialog, _ = opened()
        request = caller.request("UPDATE", *TIMED)
        dialog.take(request)
        said = (("Require", "siprec"), ("Supported", "siprec, timer"))
        ok = dialog.settle(request, respond(request, 200, headers=said), UDP, 5.0)

        assert "siprec, timer" == ok.headers.one("Require")
        assert "siprec, timer" == ok.headers.one("Supported")
        assert "600;refresher=uac" == ok.headers.one("Session-Expires")
        assert SessionTimer(interval_s=600, refresher=Refresher.PEER) == dialog.timer
        assert 605.0 == dialog.due_s

    def test_a_refresh_without_an_interval_ends_the_timer(self) -> None:
        caller, dialog, _ = opened(*TIMED)
        request = caller.request("INVITE", body=OFFER)
        dialog.take(request)
        dialog.settle(request, answered(request, 200, ANSWER), UDP, 5.0)

        assert dialog.due_s is None

    def test_our_sdp_is_kept_only_where_we_refresh(self) -> None:
        assert b"" == opened()[1].description
        assert b"" == opened(*TIMED)[1].description
        assert ANSWER == opened(*FORCED)[1].description


class TestOurs:
    def test_a_bye_goes_by_the_proxies_to_the_contact(self) -> None:
        _, dialog, _ = opened(("Record-Route", "<sip:p1;lr>, <sip:p0;lr>"))
        bye = dialog.request("BYE", headers=(("Reason", "SIP;cause=503"),))
        headers = bye.headers

        assert "sip:src@192.0.2.1:5062" == bye.uri
        assert ("<sip:p1;lr>", "<sip:p0;lr>") == headers.all("Route")
        assert "<sip:srs@example.com>;tag=ours" == headers.one("From")
        assert '"Alice" <sip:alice@example.com>;tag=caller-1' == headers.one("To")
        assert "1 BYE" == headers.one("CSeq")
        assert "SIP;cause=503" == headers.one("Reason")
        assert "Via" not in headers
        assert "Contact" not in headers

    def test_a_strict_router_gets_its_own_uri(self) -> None:
        _, dialog, _ = opened(("Record-Route", "<sip:old.example.com>, <sip:p0;lr>"))
        bye = dialog.request("BYE")

        assert "sip:old.example.com" == bye.uri == dialog.next_hop
        assert ("<sip:p0;lr>", "<sip:src@192.0.2.1:5062>") == bye.headers.all("Route")

    def test_a_peer_without_tag_gets_none(self) -> None:
        _, dialog, _ = opened()
        untagged = replace(dialog, remote_tag="")

        assert '"Alice" <sip:alice@example.com>' == untagged.request("BYE").headers.one(
            "To"
        )

    def test_each_request_counts_one_up(self) -> None:
        _, dialog, _ = opened()
        found = [dialog.request("INFO").headers.one("CSeq") for _ in range(3)]

        assert ["1 INFO", "2 INFO", "3 INFO"] == found

    def test_a_refresh_is_an_update_where_the_peer_allows_it(self) -> None:
        _, dialog, _ = opened(*FORCED, ("Allow", "INVITE, ACK, update"))
        update = dialog.refresh()

        assert ("UPDATE", b"") == (update.method, update.body)
        assert "600;refresher=uac" == update.headers.one("Session-Expires")
        assert CONTACT == update.headers.one("Contact")

    def test_else_it_is_a_re_invite_with_our_sdp_as_it_was(self) -> None:
        _, dialog, _ = opened(*FORCED, ("Allow", "INVITE, ACK"))
        invite = dialog.refresh()
        ack = dialog.acknowledge(invite)

        assert ("INVITE", ANSWER) == (invite.method, invite.body)
        assert "application/sdp" == invite.headers.one("Content-Type")
        assert ("ACK", "1 ACK") == (ack.method, ack.headers.one("CSeq"))

    def test_an_ack_goes_to_where_its_2xx_says(self) -> None:
        _, dialog, _ = opened(*FORCED, ("Allow", "INVITE, ACK"))
        ok = reply(200, ("Contact", "<sip:moved@192.0.2.77>"))

        assert "sip:moved@192.0.2.77" == dialog.acknowledge(dialog.refresh(), ok).uri

    def test_a_session_without_timer_is_never_refreshed(self) -> None:
        with pytest.raises(RuntimeError):
            opened()[1].refresh()

    @pytest.mark.parametrize("status", [481, 408])
    @pytest.mark.parametrize("method", ["UPDATE", "INFO"])
    def test_a_peer_that_knows_no_such_call_ends_it(
        self, method: str, status: int
    ) -> None:
        _, dialog, _ = opened()

        assert Outcome(then=Then.OVER) == dialog.answered(
            dialog.request(method), reply(status), 1.0
        )

    @pytest.mark.parametrize("status", [200, 401, 481, 500, 408])
    def test_a_bye_ends_it_whatever_the_answer(self, status: int) -> None:
        _, dialog, _ = opened()

        assert Outcome(then=Then.OVER) == dialog.answered(
            dialog.request("BYE"), reply(status), 1.0
        )

    def test_a_refresh_that_is_granted_starts_the_timer_and_moves_the_target(
        self,
    ) -> None:
        _, dialog, _ = opened(*FORCED, ("Allow", "UPDATE"))
        ok = reply(
            200, ("Session-Expires", "300;refresher=uac"), ("Contact", "<sip:new@h>")
        )
        outcome = dialog.answered(dialog.refresh(), ok, 1300.0)

        assert Outcome(then=Then.NOTHING) == outcome
        assert (1450.0, "sip:new@h") == (dialog.due_s, dialog.remote_target)

    @pytest.mark.parametrize("status", [405, 501])
    def test_a_peer_without_update_is_refreshed_by_re_invite(self, status: int) -> None:
        _, dialog, _ = opened(*FORCED, ("Allow", "UPDATE"))

        assert Outcome(then=Then.AS_INVITE) == dialog.answered(
            dialog.refresh(), reply(status), 1.0
        )
        assert "INVITE" == dialog.refresh().method

    def test_a_refresh_below_the_peers_minimum_asks_for_more(self) -> None:
        _, dialog, _ = opened(*FORCED, ("Allow", "UPDATE"))
        outcome = dialog.answered(dialog.refresh(), reply(422, ("Min-SE", "900")), 1.0)

        # Not at once: a peer may refuse whatever it is asked.
        assert Outcome(then=Then.AGAIN, after_s=10) == outcome
        assert "900;refresher=uac" == dialog.refresh().headers.one("Session-Expires")

    def test_glare_lets_the_owner_of_the_call_id_come_first(self) -> None:
        _, dialog, _ = opened(*FORCED, ("Allow", "UPDATE"))
        outcome = dialog.answered(dialog.refresh(), reply(491), 1.0)

        assert Then.AGAIN == outcome.then
        assert 0 <= outcome.after_s <= 2

    @pytest.mark.parametrize(
        ("status", "then"),
        [
            (503, Then.AGAIN),
            (480, Then.AGAIN),
            (403, Then.NOTHING),
            (488, Then.NOTHING),
        ],
    )
    def test_another_refusal_of_a_refresh_ends_no_recording(
        self, status: int, then: Then
    ) -> None:
        _, dialog, _ = opened(*FORCED, ("Allow", "UPDATE"))

        assert then == dialog.answered(dialog.refresh(), reply(status), 1.0).then
        assert 1300.0 == dialog.due_s


class TestState:
    def test_a_dialog_is_resumed_exactly(self) -> None:
        caller = Caller(call_id="ä\udcff-1", more=(("Allow", "UPDATE"),))
        route = ("Record-Route", '"\udcfe" <sip:p1;lr>')
        _, dialog, _ = opened(*FORCED, route, caller=caller, peer=TLS)
        dialog.refresh()
        resumed = Dialog.resumed(dialog.state())

        assert dialog == resumed
        assert (hash(dialog), dialog.state()) == (hash(resumed), resumed.state())
        assert dialog.request("BYE") == resumed.request("BYE")

    def test_requests_in_progress_die_with_their_process(self) -> None:
        caller, dialog, _ = opened()
        assert dialog.take(caller.request("INVITE", body=OFFER)) is None
        resumed = Dialog.resumed(dialog.state())

        assert resumed.take(caller.request("INVITE", body=OFFER)) is None

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            (b'"version":1', b'"version":2'),
            (b'"version":1', b'"version":true'),
            (b'"call_id"', b'"call"'),
            (b'"transport":"udp"', b'"transport":"sctp"'),
            (b'"refresher":"ourselves"', b'"refresher":"nobody"'),
            (b'"port":5060', b'"port":"5060"'),
            (b'"allows_update":false', b'"allows_update":0'),
            (b'"route_set":[]', b'"route_set":[1]'),
            (b'"description":"', b'"description":"*'),
            (b'"certificate_sha256":null', b'"certificate_sha256":"zz"'),
            (b'"refreshed_s":1000.0', b'"refreshed_s":"x"'),
            (b'"peer":{', b'"peer":[],"x":{'),
            (b"{", b"["),
        ],
    )
    def test_another_state_is_malformed(self, old: bytes, new: bytes) -> None:
        state = opened(*FORCED)[1].state()
        assert old in state

        with pytest.raises(MalformedSignallingError):
            Dialog.resumed(state.replace(old, new))

    @pytest.mark.parametrize("octets", [b"", b"\xff", b"[]", b"[" * 100_000])
    def test_noise_is_malformed(self, octets: bytes) -> None:
        with pytest.raises(MalformedSignallingError):
            Dialog.resumed(octets)
