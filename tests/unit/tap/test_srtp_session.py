import pytest

from vault.core.media import SrtpSuite
from vault.tap.orders import Rejection
from vault.tap.srtp_session import (
    STATUS_MALFORMED,
    STATUS_REPLAYED,
    STATUS_TOO_OLD,
    STATUS_UNAUTHENTIC,
    STATUS_UNKNOWN_MKI,
    rejection_of,
    tag_size_bytes,
)


class TestRejections:
    @pytest.mark.parametrize(
        ("status", "reason"),
        [
            (STATUS_REPLAYED, Rejection.REPLAYED),
            (STATUS_TOO_OLD, Rejection.TOO_OLD),
            (26, Rejection.TOO_OLD),
            (STATUS_UNKNOWN_MKI, Rejection.UNKNOWN_MKI),
            (STATUS_UNAUTHENTIC, Rejection.UNAUTHENTICATED),
            (STATUS_MALFORMED, Rejection.UNAUTHENTICATED),
            (1, Rejection.UNAUTHENTICATED),
        ],
    )
    def test_have_a_word_for_each_status(self, status: int, reason: Rejection):
        assert rejection_of(status) is reason


class TestTags:
    @pytest.mark.parametrize(
        ("suite", "rtp", "rtcp"),
        [
            (SrtpSuite.AEAD_AES_256_GCM, 0, 0),
            (SrtpSuite.AES_256_CM_HMAC_SHA1_80, 10, 10),
            (SrtpSuite.AES_256_CM_HMAC_SHA1_32, 4, 10),
            (SrtpSuite.AES_CM_128_HMAC_SHA1_32, 4, 10),
            (SrtpSuite.PLAIN_RTP, 0, 0),
        ],
    )
    def test_behind_an_mki_have_the_sizes_of_the_rfcs(
        self, suite: SrtpSuite, rtp: int, rtcp: int
    ):
        assert (tag_size_bytes(suite), tag_size_bytes(suite, rtcp=True)) == (rtp, rtcp)
