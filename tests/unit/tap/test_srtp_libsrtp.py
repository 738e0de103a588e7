import gc

import pytest

from tests.simulators.srtp_peers import SSRC, Sender, fresh_key, taken
from vault.core.media import SrtpSuite
from vault.core.secrets import SecretBytes
from vault.tap.srtp_libsrtp import SUITES, LibsrtpInbound
from vault.tap.srtp_session import STATUS_OK


@pytest.mark.parametrize("suite", sorted(SUITES))
class TestLibsrtp:
    def test_walks_8192_rollovers_and_no_more(self, suite: SrtpSuite):
        session = LibsrtpInbound(suite, fresh_key(suite))

        assert session.fast_forward(SSRC, 8191 * 65536 + 65535)
        assert not session.fast_forward(SSRC, 8192 * 65536)

    def test_outlives_what_it_was_made_of(self, suite: SrtpSuite):
        key = fresh_key(suite)
        packet = Sender(suite, key).packet(70_001)
        session = LibsrtpInbound(suite, SecretBytes(key.reveal()))
        gc.collect()

        assert session.fast_forward(SSRC, 70_000)
        assert taken(session, packet)[0] == STATUS_OK
