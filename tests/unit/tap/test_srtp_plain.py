import pytest

from tests.simulators.srtp_peers import report, rtp, taken
from vault.core.media import SrtpSuite
from vault.core.secrets import SecretBytes
from vault.tap.slots import ROOM, Slots
from vault.tap.srtp import OutboundSession, inbound
from vault.tap.srtp_session import STATUS_MALFORMED, STATUS_OK

PLAIN = SrtpSuite.PLAIN_RTP
NO_KEY = SecretBytes(b"")


class TestPlainRtp:
    def test_is_taken_as_it_is(self):
        session = inbound(PLAIN, NO_KEY)

        assert taken(session, rtp(7)) == (STATUS_OK, rtp(7))
        assert taken(session, report(), rtcp=True) == (STATUS_OK, report())

    def test_is_sent_as_it_is(self):
        sender = OutboundSession(PLAIN, NO_KEY)

        assert sender.protect(rtp(7)) == rtp(7)
        assert sender.protect_rtcp(report()) == report()

    def test_says_that_it_authenticates_nothing(self):
        session = inbound(PLAIN, NO_KEY)

        assert not session.authenticates
        assert not session.can_trial
        assert not session.spoils
        assert session.trial(rtp(7)) is None

    def test_has_no_state_to_restore(self):
        session = inbound(PLAIN, NO_KEY)

        assert session.fast_forward(1, 2**47)
        session.forget(1)

        assert taken(session, rtp(7))[0] == STATUS_OK

    def test_comes_in_batches(self):
        slots = Slots(0)
        slots.restore(0, rtp(1))
        slots.restore(1, b"\x80\x00")

        statuses = inbound(PLAIN, NO_KEY).unprotect_batch(slots, 2)

        assert statuses == [STATUS_OK, STATUS_MALFORMED]

    @pytest.mark.parametrize(
        "packet",
        [
            b"",
            b"\x80",
            rtp(7)[:11],
            b"\x8f" + rtp(7)[1:],  # 15 CSRCs
            b"\x90" + rtp(7)[1:12],  # an extension that is not there
            b"\x90" + rtp(7)[1:12] + b"\xbe\xde\xff\xff" + bytes(ROOM - 16),
        ],
    )
    def test_that_does_not_fit_itself_is_refused(self, packet: bytes):
        assert taken(inbound(PLAIN, NO_KEY), packet) == (STATUS_MALFORMED, packet)

    @pytest.mark.parametrize(
        "packet",
        [b"\x80\xc8\x00\x06" + bytes(4), b"\x40\xc8\x00\x01" + bytes(4), report()[:-1]],
    )
    def test_reports_that_do_not_fit_themselves_are_refused(self, packet: bytes):
        assert taken(inbound(PLAIN, NO_KEY), packet, rtcp=True)[0] == STATUS_MALFORMED
