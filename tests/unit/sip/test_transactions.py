from dataclasses import replace

import pytest

from tests.simulators.sip_caller import (
    ANSWER,
    OFFER,
    STRANGER,
    TLS,
    UDP,
    Caller,
    branch_of,
    sent,
    statuses,
    tag_of,
)
from vault.core.errors import MalformedSignallingError
from vault.sip.matching import DialogId
from vault.sip.messages import Request, Response, respond
from vault.sip.peers import Peer
from vault.sip.transactions import (
    Limits,
    NeverAcknowledged,
    ServerTransactions,
    Verdict,
    What,
)


class Desk:
    """Server transactions, a clock, and an application that is asked by hand."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.transactions = ServerTransactions(limits)
        self.now_s = 1000.0

    def receive(self, request: Request, peer: Peer = UDP) -> Verdict:
        return self.transactions.receive(request, peer, self.now_s)

    def answer(
        self, verdict: Verdict, request: Request, status: int, body: bytes = b""
    ) -> tuple[object, ...]:
        assert verdict.key is not None
        response = respond(
            request, status, body=body, content_type="application/sdp" if body else ""
        )
        return self.transactions.answer(verdict.key, response, self.now_s)

    def wait(self, seconds: float) -> list[tuple[float, object]]:
        """Let time pass; return what happened and when, from the start of the wait."""
        begun, happened = self.now_s, []
        while True:
            due_s = self.transactions.next_due_s
            if due_s is None or due_s > begun + seconds:
                self.now_s = begun + seconds
                return happened
            self.now_s = max(self.now_s, due_s)
            found, _ = self.transactions.due(self.now_s)
            happened += [(round(self.now_s - begun, 3), one) for one in found]


class TestInvite:
    def test_seven_copies_are_one_call_and_get_one_answer(self) -> None:
        desk, invite = Desk(), Caller().request("INVITE", body=OFFER)
        first = desk.receive(invite)
        before = [desk.receive(invite) for _ in range(3)]
        answer = desk.answer(first, invite, 200, ANSWER)
        after = [desk.receive(invite) for _ in range(4)]

        assert What.NEW == first.what
        assert [(What.REPEATED, ())] * 3 == [(one.what, one.send) for one in before]
        assert [(What.REPEATED, answer)] * 4 == [(one.what, one.send) for one in after]
        assert first.to_tag == tag_of(sent(answer[0]))

    def test_a_copy_after_the_ack_gets_the_same_200(self) -> None:
        desk, caller = Desk(), Caller()
        invite = caller.request("INVITE", body=OFFER)
        first = desk.receive(invite)
        answer = desk.answer(first, invite, 200, ANSWER)
        desk.receive(caller.ack(invite, to_tag=first.to_tag))

        assert answer == desk.receive(invite).send

    def test_the_answer_goes_to_where_the_newest_copy_came_from(self) -> None:
        desk, invite = Desk(), Caller().request("INVITE")
        first = desk.receive(invite)
        moved = replace(UDP, port=40000)
        desk.receive(invite, moved)
        answer = desk.answer(first, invite, 200)

        assert [moved] == [one.peer for one in answer]  # type: ignore[attr-defined]

    def test_a_call_without_an_answer_for_200_ms_is_told_so_once(self) -> None:
        desk, invite = Desk(), Caller().request("INVITE")
        desk.receive(invite)
        happened = desk.wait(80)

        assert [(0.2, [100])] == [(at, statuses((one,))) for at, one in happened]
        assert [100] == statuses(desk.receive(invite).send)
        assert "" == tag_of(sent(desk.receive(invite).send[0]))

    def test_an_answer_within_200_ms_makes_that_needless(self) -> None:
        desk, caller = Desk(), Caller()
        invite = caller.request("INVITE")
        first = desk.receive(invite)
        desk.answer(first, invite, 200)
        desk.receive(caller.ack(invite, to_tag=first.to_tag))

        assert [] == desk.wait(80)

    @pytest.mark.parametrize("peer", [UDP, TLS])
    def test_a_200_is_repeated_on_every_transport_until_its_ack_is_given_up(
        self, peer: Peer
    ) -> None:
        desk, invite = Desk(), Caller().request("INVITE")
        first = desk.receive(invite, peer)
        answer = desk.answer(first, invite, 200)
        happened = desk.wait(80)

        assert [0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5] == [
            at for at, one in happened[:-1]
        ]
        assert {answer[0]} == {one for _, one in happened[:-1]}
        dialog = DialogId("call-1@192.0.2.1", first.to_tag, "caller-1")
        assert (32.0, NeverAcknowledged(key=first.key, dialog=dialog)) == happened[-1]  # type: ignore[arg-type]
        assert 0 == len(desk.transactions)

    def test_the_ack_that_comes_after_six_lost_ones_ends_the_repeating(self) -> None:
        desk, caller = Desk(), Caller()
        invite = caller.request("INVITE")
        first = desk.receive(invite)
        desk.answer(first, invite, 200)
        repeated = desk.wait(20)
        ack = caller.ack(invite, to_tag=first.to_tag)
        verdict = desk.receive(ack)

        assert 7 == len(repeated)
        assert (What.ACKNOWLEDGED, first.key) == (verdict.what, verdict.key)
        assert (first.to_tag, "caller-1") == verdict.dialog[1:]  # type: ignore[index]
        assert What.ABSORBED == desk.receive(ack).what
        assert [] == desk.wait(80)
        assert 0 == len(desk.transactions)

    def test_an_ack_proves_by_our_tag_that_it_may_come_from_elsewhere(self) -> None:
        desk, caller = Desk(), Caller()
        invite = caller.request("INVITE")
        first = desk.receive(invite)
        desk.answer(first, invite, 200)
        without = caller.ack(invite, to_tag="")
        guessed = caller.ack(invite, to_tag="guess")
        proper = caller.ack(invite, to_tag=first.to_tag)

        assert What.ABSORBED == desk.receive(without, STRANGER).what
        assert What.ABSORBED == desk.receive(guessed, STRANGER).what
        assert What.ACKNOWLEDGED == desk.receive(proper, STRANGER).what

    @pytest.mark.parametrize("same_branch", [True, False])
    @pytest.mark.parametrize("tagged", [True, False])
    def test_an_ack_may_lack_its_tag_or_have_the_branch_of_the_invite(
        self, *, tagged: bool, same_branch: bool
    ) -> None:
        desk, caller = Desk(), Caller()
        invite = caller.request("INVITE")
        first = desk.receive(invite)
        desk.answer(first, invite, 200)
        branch = branch_of(invite) if same_branch else None
        tag = first.to_tag if tagged else ""
        ack = caller.ack(invite, to_tag=tag, branch=branch)

        assert What.ACKNOWLEDGED == desk.receive(ack).what

    def test_a_refusal_is_repeated_over_udp_until_its_ack(self) -> None:
        desk, caller = Desk(), Caller()
        invite = caller.request("INVITE")
        first = desk.receive(invite)
        answer = desk.answer(first, invite, 488)
        happened = desk.wait(4)
        ack = caller.ack(invite, to_tag=first.to_tag, branch=branch_of(invite))

        assert [(0.5, answer[0]), (1.5, answer[0]), (3.5, answer[0])] == happened
        assert What.ABSORBED == desk.receive(ack).what
        assert [] == desk.wait(20)
        assert answer == desk.receive(invite).send

    def test_a_refusal_is_said_once_over_tls(self) -> None:
        desk, invite = Desk(), Caller().request("INVITE")
        first = desk.receive(invite, TLS)
        desk.answer(first, invite, 488)

        assert [] == desk.wait(80)
        assert 0 == len(desk.transactions)

    def test_a_refusal_that_nobody_acknowledges_is_forgotten_silently(self) -> None:
        desk, invite = Desk(), Caller().request("INVITE")
        desk.answer(desk.receive(invite), invite, 486)
        happened = desk.wait(80)

        assert 10 == len(happened)
        assert 0 == len(desk.transactions)

    @pytest.mark.parametrize("status", [200, 486])
    def test_the_last_copy_of_a_call_that_was_given_up_is_no_new_call(
        self, status: int
    ) -> None:
        desk, invite = Desk(), Caller().request("INVITE")
        answer = desk.answer(desk.receive(invite), invite, status)
        desk.wait(33)
        late = desk.receive(invite)

        assert (What.REPEATED, answer) == (late.what, late.send)

    def test_only_the_first_final_answer_counts(self) -> None:
        desk, invite = Desk(), Caller().request("INVITE")
        first = desk.receive(invite)
        ok = desk.answer(first, invite, 200)

        assert () == desk.answer(first, invite, 503)
        assert ok == desk.receive(invite).send

    def test_ringing_comes_before_the_answer_and_is_repeated_to_copies(self) -> None:
        desk, invite = Desk(), Caller().request("INVITE")
        first = desk.receive(invite)
        ringing = desk.answer(first, invite, 180)
        copy = desk.receive(invite)
        ok = desk.answer(first, invite, 200)

        assert ringing == copy.send
        assert [180, 200] == statuses((*ringing, *ok))
        assert first.to_tag == tag_of(sent(ringing[0]))

    def test_a_dialog_that_is_over_needs_no_ack_any_more(self) -> None:
        desk, invite = Desk(), Caller().request("INVITE")
        first = desk.receive(invite)
        answer = desk.answer(first, invite, 200)
        dialog = DialogId("call-1@192.0.2.1", first.to_tag, "caller-1")
        desk.transactions.forget(dialog, desk.now_s)

        assert [] == desk.wait(10)
        assert answer == desk.receive(invite).send
        assert [] == desk.wait(80)

    def test_the_tag_of_the_application_is_the_dialogs(self) -> None:
        desk, caller = Desk(), Caller()
        invite = caller.request("INVITE")
        first = desk.receive(invite)
        assert first.key is not None
        response = respond(invite, 200, to_tag="chosen")
        desk.transactions.answer(first.key, response, desk.now_s)

        verdict = desk.receive(caller.ack(invite, to_tag="chosen"))

        assert DialogId("call-1@192.0.2.1", "chosen", "caller-1") == verdict.dialog


class TestLoop:
    def test_the_same_invite_by_another_way_is_refused_and_no_second_call(self) -> None:
        desk, caller = Desk(), Caller()
        invite = caller.request("INVITE")
        first = desk.receive(invite)
        other = caller.request("INVITE", cseq=1)
        before = desk.receive(other)
        desk.answer(first, invite, 200)
        after = desk.receive(other)

        assert (What.REFUSED, [482]) == (before.what, statuses(before.send))
        assert before.send == after.send

    def test_one_that_was_refused_may_come_again(self) -> None:
        desk, caller = Desk(), Caller()
        invite = caller.request("INVITE")
        desk.answer(desk.receive(invite), invite, 503)

        assert What.NEW == desk.receive(caller.request("INVITE", cseq=1)).what

    def test_one_of_another_sender_is_taken(self) -> None:
        desk, caller = Desk(), Caller()
        invite = caller.request("INVITE")
        desk.answer(desk.receive(invite), invite, 200)

        again = desk.receive(caller.request("INVITE", cseq=1), STRANGER)

        assert What.NEW == again.what


class TestCancel:
    def test_it_ends_an_invite_that_has_no_answer(self) -> None:
        desk, caller = Desk(), Caller()
        invite = caller.request("INVITE")
        first = desk.receive(invite)
        verdict = desk.receive(caller.cancel(invite))

        assert (What.CANCELLED, first.key) == (verdict.what, verdict.key)
        assert [200, 487] == statuses(verdict.send)
        assert [first.to_tag] * 2 == [tag_of(sent(one)) for one in verdict.send]

    def test_an_answer_that_comes_later_is_not_sent(self) -> None:
        desk, caller = Desk(), Caller()
        invite = caller.request("INVITE")
        first = desk.receive(invite)
        terminated = desk.receive(caller.cancel(invite)).send[1]

        assert () == desk.answer(first, invite, 200)
        assert (terminated,) == desk.receive(invite).send
        ack = caller.ack(invite, to_tag=first.to_tag, branch=branch_of(invite))
        assert What.ABSORBED == desk.receive(ack).what
        assert [] == desk.wait(80)

    def test_after_the_answer_it_changes_nothing(self) -> None:
        desk, caller = Desk(), Caller()
        invite = caller.request("INVITE")
        first = desk.receive(invite)
        answer = desk.answer(first, invite, 200)
        late = desk.receive(caller.cancel(invite))

        assert (What.ABSORBED, [200]) == (late.what, statuses(late.send))
        assert answer == desk.receive(invite).send

    def test_of_a_re_invite_it_changes_nothing(self) -> None:
        desk, caller = Desk(), Caller(to_tag="t")
        invite = caller.request("INVITE")
        first = desk.receive(invite)
        cancel = caller.cancel(invite)
        verdict = desk.transactions.receive(cancel, UDP, desk.now_s, in_dialog=True)

        assert (What.ABSORBED, [200]) == (verdict.what, statuses(verdict.send))
        assert [200] == statuses(desk.answer(first, invite, 200))

    def test_its_copies_get_the_same_answer(self) -> None:
        desk, caller = Desk(), Caller()
        invite = caller.request("INVITE")
        desk.receive(invite)
        cancel = caller.cancel(invite)
        ok = desk.receive(cancel).send[:1]
        copies = [desk.receive(cancel) for _ in range(3)]

        assert [(What.REPEATED, ok)] * 3 == [(one.what, one.send) for one in copies]

    def test_of_nothing_it_is_refused_alike_each_time(self) -> None:
        desk, caller = Desk(), Caller()
        cancel = caller.cancel(caller.request("INVITE"))
        found = [desk.receive(cancel) for _ in range(3)]

        assert [[481]] * 3 == [statuses(one.send) for one in found]
        assert 1 == len({one.send for one in found})
        assert 0 == len(desk.transactions)

    def test_from_another_address_it_cancels_nothing(self) -> None:
        desk, caller = Desk(), Caller()
        invite = caller.request("INVITE")
        first = desk.receive(invite)
        forged = desk.receive(caller.cancel(invite), STRANGER)

        assert [481] == statuses(forged.send)
        assert [200] == statuses(desk.answer(first, invite, 200))

    def test_with_another_certificate_it_cancels_nothing(self) -> None:
        desk, caller = Desk(), Caller()
        invite = caller.request("INVITE")
        desk.receive(invite, TLS)
        other = replace(TLS, certificate_sha256=bytes(32))

        assert [481] == statuses(desk.receive(caller.cancel(invite), other).send)


class TestOthers:
    @pytest.mark.parametrize("peer", [UDP, TLS])
    def test_copies_of_a_bye_get_the_same_answer_while_they_may_come(
        self, peer: Peer
    ) -> None:
        desk, bye = Desk(), Caller(to_tag="t").request("BYE")
        first = desk.receive(bye, peer)
        answer = desk.answer(first, bye, 200)
        desk.wait(36.9)
        copy = desk.receive(bye, peer)
        desk.wait(2)

        assert (What.REPEATED, answer) == (copy.what, copy.send)
        assert 0 == len(desk.transactions)

    def test_an_answer_is_never_repeated_by_itself(self) -> None:
        desk, bye = Desk(), Caller(to_tag="t").request("BYE")
        desk.answer(desk.receive(bye), bye, 481)

        assert [] == desk.wait(80)

    def test_a_peer_whose_branch_never_changes_is_answered_each_time(self) -> None:
        desk, caller = Desk(), Caller()
        pings = [caller.request("OPTIONS", branch="z9hG4bK0") for _ in range(3)]
        found = []
        for ping in pings:
            first = desk.receive(ping)
            found.append(sent(desk.answer(first, ping, 200)[0]).headers.one("CSeq"))

        assert ["1 OPTIONS", "2 OPTIONS", "3 OPTIONS"] == found

    def test_a_client_of_rfc_2543_is_matched_without_branch(self) -> None:
        desk, caller = Desk(), Caller()
        invite = caller.request("INVITE", branch="old")
        first = desk.receive(invite)
        answer = desk.answer(first, invite, 486)
        other = caller.request("INVITE", branch="old")
        ack = caller.ack(invite, to_tag=first.to_tag, branch="old")

        assert answer == desk.receive(invite).send
        assert What.NEW == desk.receive(other).what
        assert What.ABSORBED == desk.receive(ack).what
        assert [] == desk.wait(0.1)

    def test_an_ack_of_nothing_is_absorbed(self) -> None:
        desk, caller = Desk(), Caller()
        ack = caller.ack(caller.request("INVITE"), to_tag="x")

        assert Verdict(what=What.ABSORBED) == desk.receive(ack)
        assert 0 == len(desk.transactions)

    def test_what_nobody_asked_is_not_answered(self) -> None:
        desk, invite = Desk(), Caller().request("INVITE")
        key = Desk().receive(invite).key
        assert key is not None

        assert () == desk.transactions.answer(key, Response(status=200), desk.now_s)

    @pytest.mark.parametrize("name", ["Via", "From", "To", "Call-ID", "CSeq"])
    def test_without_a_name_it_is_malformed(self, name: str) -> None:
        invite = Caller().request("INVITE")
        headless = replace(invite, headers=invite.headers.without(name))

        with pytest.raises(MalformedSignallingError):
            Desk().receive(headless)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("CSeq", "1 BYE"),
            ("Call-ID", "x" * 1025),
            ("From", f"<sip:a@b>;tag={'x' * 1025}"),
        ],
    )
    def test_with_a_name_that_cannot_be_it_is_malformed(
        self, name: str, value: str
    ) -> None:
        invite = Caller().request("INVITE")
        headers = invite.headers.without(name).with_(name, value)

        with pytest.raises(MalformedSignallingError):
            Desk().receive(replace(invite, headers=headers))

    def test_a_long_branch_is_kept_short(self) -> None:
        desk = Desk()
        ping = Caller().request("OPTIONS", branch="z9hG4bK" + "x" * 60000)
        first = desk.receive(ping)
        assert first.key is not None

        assert 64 == len(first.key.branch)
        assert What.REPEATED == desk.receive(ping).what


class TestLimits:
    def test_one_address_cannot_have_more_waiting_than_its_share(self) -> None:
        desk = Desk(Limits(pending=10, pending_per_address=3))
        found = [desk.receive(Caller().request("OPTIONS")) for _ in range(5)]
        other = desk.receive(Caller().request("OPTIONS"), STRANGER)
        refused = sent(found[3].send[0])

        assert [What.NEW] * 3 + [What.REFUSED] * 2 == [one.what for one in found]
        assert "5" == refused.headers.one("Retry-After")
        assert What.NEW == other.what

    def test_all_addresses_together_have_a_limit(self) -> None:
        desk = Desk(Limits(pending=16, pending_per_address=16))
        for at in range(16):
            peer = replace(UDP, address=f"192.0.2.{at + 10}")
            desk.receive(Caller().request("OPTIONS"), peer)

        refused = desk.receive(Caller().request("OPTIONS"), STRANGER)

        assert [503] == statuses(refused.send)

    def test_a_call_can_end_when_no_new_one_is_taken(self) -> None:
        desk = Desk(Limits(pending=80, pending_per_address=8))
        for _ in range(8):
            desk.receive(Caller().request("OPTIONS"))

        assert What.REFUSED == desk.receive(Caller().request("OPTIONS")).what
        assert What.NEW == desk.receive(Caller(to_tag="t").request("BYE")).what
        assert What.REFUSED == desk.receive(Caller(to_tag="t").request("BYE")).what

    def test_an_answer_makes_room(self) -> None:
        desk = Desk(Limits(pending_per_address=1))
        first = Caller().request("OPTIONS")
        desk.answer(desk.receive(first), first, 200)

        assert What.NEW == desk.receive(Caller().request("OPTIONS")).what
        assert 1 == desk.transactions.pending

    def test_the_oldest_answer_of_the_same_address_is_forgotten_first(self) -> None:
        desk = Desk(Limits(finished=3, finished_per_address=2))
        pings = [Caller().request("OPTIONS") for _ in range(4)]
        for ping, peer in zip(pings, (STRANGER, UDP, UDP, UDP), strict=True):
            desk.answer(desk.receive(ping, peer), ping, 200)
        found = [
            desk.receive(ping, peer).what
            for ping, peer in zip(pings, (STRANGER, UDP, UDP, UDP), strict=True)
        ]

        assert [What.REPEATED, What.NEW, What.REPEATED, What.REPEATED] == found

    def test_answers_are_forgotten_by_their_octets_too(self) -> None:
        desk = Desk(Limits(finished_bytes=40_000, finished_bytes_per_address=40_000))
        pings = [Caller(call_id=f"c{at}").request("OPTIONS") for at in range(4)]
        for ping in pings:
            desk.answer(desk.receive(ping), ping, 200, bytes(15_000))
        found = [desk.receive(ping).what for ping in pings]

        assert [What.NEW, What.NEW, What.REPEATED, What.REPEATED] == found

    def test_one_ipv6_network_is_one_address(self) -> None:
        desk = Desk(Limits(pending_per_address=2))
        found = [
            desk.receive(
                Caller().request("OPTIONS"), replace(UDP, address=f"2001:db8::{at}")
            ).what
            for at in range(3)
        ]

        assert [What.NEW, What.NEW, What.REFUSED] == found

    def test_nothing_is_left_when_all_is_over(self) -> None:
        desk = Desk()
        for at in range(50):
            caller = Caller(call_id=f"call-{at}")
            invite = caller.request("INVITE", body=OFFER)
            first = desk.receive(invite)
            if at % 3 == 0:
                desk.receive(caller.cancel(invite))
            desk.answer(first, invite, 200 if at % 2 else 486, ANSWER)
            if at % 5:
                desk.receive(caller.ack(invite, to_tag=first.to_tag))
        desk.wait(80)
        transactions = desk.transactions

        assert (0, None) == (len(transactions), transactions.next_due_s)
        assert ({}, {}) == (transactions._invites, transactions._unacknowledged)
        assert {} == transactions._finished._shares
