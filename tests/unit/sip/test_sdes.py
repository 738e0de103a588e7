import base64

import pytest

from vault.core.errors import MalformedSignallingError
from vault.core.media import SrtpSuite
from vault.core.secrets import SecretBytes
from vault.sip.sdes import Crypto, choose, fresh_key
from vault.sip.sdp import Line

K30 = base64.b64encode(bytes(range(1, 31))).decode()
K28 = base64.b64encode(bytes(range(28))).decode()
K44 = base64.b64encode(bytes(range(44))).decode()
SHA80 = "AES_CM_128_HMAC_SHA1_80"


def lines(*values: str) -> list[Line]:
    return [
        Line(type="a", value=f"crypto:{value}", number=10 + at)
        for at, value in enumerate(values)
    ]


class TestChoose:
    def test_our_order_decides_and_not_the_peers(self) -> None:
        chosen = choose(
            lines(
                f"1 {SHA80} inline:{K30}",
                f"2 AEAD_AES_128_GCM inline:{K28}",
                f"3 AEAD_AES_256_GCM inline:{K44}",
            )
        )

        assert chosen == Crypto(
            tag=3, suite=SrtpSuite.AEAD_AES_256_GCM, key=SecretBytes(bytes(range(44)))
        )

    @pytest.mark.parametrize(
        "value",
        [
            f"1 {SHA80} inline:{K30}",
            f"1 {SHA80.lower()} INLINE:{K30}",
            f"1 {SHA80} inline:{K30}|2^31",
            f"1 {SHA80} inline:{K30}|1048576",
            f"1 {SHA80} inline:{K30} WSH=64",
            f"1 {SHA80} inline:{K30} -vendor",
        ],
    )
    def test_a_sound_line_is_taken(self, value: str) -> None:
        chosen = choose(lines(value))

        assert chosen is not None
        assert SecretBytes(bytes(range(1, 31))) == chosen.key

    def test_rtpengines_unpadded_keys_are_taken(self) -> None:
        chosen = choose(lines(f"1 AEAD_AES_256_GCM inline:{K44.rstrip('=')}"))

        assert chosen is not None
        assert 44 == len(chosen.key)

    @pytest.mark.parametrize(
        "value",
        [
            f"1 AES_CM_128_HMAC_SHA1_32 inline:{K30}",
            f"1 AES_256_CM_HMAC_SHA1_80 inline:{K30}",
            f"1 F8_128_HMAC_SHA1_80 inline:{K30}",
            f"1 NULL_HMAC_SHA1_80 inline:{K30}",
            f"1 {SHA80} inline:{K30}|2^31|1:4",
            f"1 {SHA80} inline:{K30}|1:4",
            f"1 {SHA80} inline:{K30}|1:1;inline:{K30}|2:1",
            f"1 {SHA80} inline:{K30} UNENCRYPTED_SRTP",
            f"1 {SHA80} inline:{K30} UNENCRYPTED_SRTCP",
            f"1 {SHA80} inline:{K30} UNAUTHENTICATED_SRTP",
            f"1 {SHA80} inline:{K30} KDR=1",
            f"1 {SHA80} inline:{K30} FEC_ORDER=FEC_SRTP",
            f"1 {SHA80} inline:{K30} vendor",
        ],
    )
    def test_a_line_that_weakens_the_stream_is_never_chosen(self, value: str) -> None:
        assert choose(lines(value)) is None
        assert choose(lines(value, f"9 {SHA80} inline:{K30}")) is not None

    @pytest.mark.parametrize(
        "value",
        [
            "",
            "1",
            f"1 {SHA80}",
            f"x {SHA80} inline:{K30}",
            f"1 {SHA80} inline:{K30[:-4]}",
            f"1 {SHA80} inline:{K44}",
            f"1 {SHA80} inline:",
            f"1 {SHA80} inline:!!!!",
            f"1 {SHA80} inline:A",
            f"1 {SHA80} outline:{K30}",
            f"1 {SHA80} inline:{K30}|soon",
            f"1 {SHA80} inline:{K30}|2^31|2^31|1:4",
        ],
    )
    def test_a_broken_line_is_named_and_its_key_is_not(self, value: str) -> None:
        with pytest.raises(MalformedSignallingError) as caught:
            choose(lines(f"7 {SHA80} inline:{K30}", value))

        assert 11 == caught.value.line
        assert K30[:8] not in str(caught.value)

    def test_one_tag_twice_is_refused(self) -> None:
        value = f"1 {SHA80} inline:{K30}"

        with pytest.raises(MalformedSignallingError):
            choose(lines(value, value))


class TestCrypto:
    def test_a_line_we_wrote_reads_back(self) -> None:
        for suite in SrtpSuite:
            ours = Crypto(tag=5, suite=suite, key=fresh_key(suite))

            assert ours == choose(lines(str(ours)))

    def test_its_repr_shows_no_key(self) -> None:
        ours = Crypto(
            tag=1, suite=SrtpSuite.AEAD_AES_128_GCM, key=SecretBytes(bytes(28))
        )

        assert "AAAA" not in repr(ours)
