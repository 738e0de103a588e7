import base64

import pytest

from vault.core.errors import MalformedSignallingError
from vault.core.flow import Allowance
from vault.core.media import SrtpSuite
from vault.core.secrets import SecretBytes
from vault.sip.sdes import MAX_KEYS, Crypto, NamedKey, choose, fresh_key, refusal
from vault.sip.sdp import Line

K30 = base64.b64encode(bytes(range(1, 31))).decode()
K28 = base64.b64encode(bytes(range(28))).decode()
K44 = base64.b64encode(bytes(range(44))).decode()
K46 = base64.b64encode(bytes(range(46))).decode()
SHA80 = "AES_CM_128_HMAC_SHA1_80"
SHA32 = "AES_CM_128_HMAC_SHA1_32"
ANYTHING = frozenset(Allowance)


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
            f"1 AES_256_CM_HMAC_SHA1_32 inline:{K46}",
            "1 PLAIN_RTP inline:",
            f"1 F8_128_HMAC_SHA1_80 inline:{K30}",
            f"1 NULL_HMAC_SHA1_80 inline:{K30}",
            f"1 {SHA80} inline:{K30}|2^49",
            f"1 {SHA80} inline:{K30}|0",
            f"1 {SHA80} inline:{K30}|99999999999999999999|1:4",
            f"1 {SHA80} "
            + ";".join(f"inline:{K30}|{n}:1" for n in range(MAX_KEYS + 1)),
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
            f"1 {SHA80} inline:{K30}|1:4|2^31",
            f"1 {SHA80} inline:{K30}|1:0",
            f"1 {SHA80} inline:{K30}|1:129",
            f"1 {SHA80} inline:{K30}|256:1",
            f"1 {SHA80} inline:{K30}|-1:1",
            f"1 {SHA80} inline:{K30};inline:{K30}",
            f"1 {SHA80} inline:{K30}|1:1;inline:{K30}",
            f"1 {SHA80} inline:{K30}|1:1;inline:{K30}|2:2",
            f"1 {SHA80} inline:{K30}|1:1;inline:{K30}|01:1",
            f"1 {SHA80} inline:{K30}|1:1;",
            f"1 {SHA32} inline:{K30[:-4]}",
            f"1 AES_256_CM_HMAC_SHA1_80 inline:{K30}",
        ],
    )
    def test_a_broken_line_is_named_and_its_key_is_not(self, value: str) -> None:
        with pytest.raises(MalformedSignallingError) as caught:
            choose(lines(f"7 {SHA80} inline:{K30}", value))

        assert 11 == caught.value.line
        assert K30[:8] not in str(caught.value)

    def test_a_256_bit_key_is_preferred_to_a_128_bit_one(self) -> None:
        chosen = choose(
            lines(f"1 {SHA80} inline:{K30}", f"2 AES_256_CM_HMAC_SHA1_80 inline:{K46}")
        )

        assert chosen is not None
        assert SrtpSuite.AES_256_CM_HMAC_SHA1_80 == chosen.suite

    @pytest.mark.parametrize(
        ("said", "lifetime"),
        [("", None), ("|2^20", 2**20), ("|1000", 1000), ("|2^48|7:2", 2**48)],
    )
    def test_a_lifetime_is_kept(self, said: str, lifetime: int | None) -> None:
        chosen = choose(lines(f"1 {SHA80} inline:{K30}{said}"))

        assert chosen is not None
        assert lifetime == chosen.lifetime_packets

    @pytest.mark.parametrize(
        ("said", "mki"),
        [
            ("1:4", b"\0\0\0\x01"),
            ("0:1", b"\0"),
            ("66051:3", b"\1\2\3"),
            (f"{2**1024 - 1}:128", b"\xff" * 128),
        ],
    )
    def test_an_mki_is_a_number_in_as_many_octets(self, said: str, mki: bytes) -> None:
        chosen = choose(lines(f"1 {SHA80} inline:{K30}|2^31|{said}"))

        assert chosen is not None
        assert (NamedKey(mki=mki, key=chosen.key),) == chosen.mkis

    def test_every_key_of_several_is_kept_by_its_name(self) -> None:
        other = base64.b64encode(bytes(30)).decode()
        chosen = choose(
            lines(f"1 {SHA80} inline:{K30}|2^31|1:2;inline:{other}|2^20|2:2")
        )

        assert chosen == Crypto(
            tag=1,
            suite=SrtpSuite.AES_CM_128_HMAC_SHA1_80,
            key=SecretBytes(bytes(range(1, 31))),
            mkis=(
                NamedKey(mki=b"\0\1", key=SecretBytes(bytes(range(1, 31)))),
                NamedKey(mki=b"\0\2", key=SecretBytes(bytes(30))),
            ),
            lifetime_packets=2**20,
        )

    def test_one_tag_twice_is_refused(self) -> None:
        value = f"1 {SHA80} inline:{K30}"

        with pytest.raises(MalformedSignallingError):
            choose(lines(value, value))


class TestAllowances:
    def test_a_short_tag_is_taken_from_a_device_that_may(self) -> None:
        chosen = choose(lines(f"1 {SHA32} inline:{K30}"), ANYTHING)

        assert chosen is not None
        assert SrtpSuite.AES_CM_128_HMAC_SHA1_32 == chosen.suite

    def test_plain_rtp_allows_no_short_tag(self) -> None:
        only_plain = frozenset({Allowance.PLAIN_RTP})

        assert choose(lines(f"1 {SHA32} inline:{K30}"), only_plain) is None

    def test_even_a_device_that_may_gets_the_long_tag_if_it_offers_one(self) -> None:
        short = f"1 AES_256_CM_HMAC_SHA1_32 inline:{K46}"
        chosen = choose(lines(short, f"2 {SHA80} inline:{K30}"), ANYTHING)

        assert chosen is not None
        assert 2 == chosen.tag

    def test_a_short_tag_is_refused_with_its_line_and_the_way_out(self) -> None:
        error = refusal(
            lines(f"1 NULL_HMAC_SHA1_80 inline:{K30}", f"2 {SHA32} inline:{K30}")
        )

        assert 11 == error.line
        assert "callvault device allow NAME srtp-32-bit-tag" in str(error)

    def test_what_nobody_is_allowed_is_refused_without_a_way_out(self) -> None:
        error = refusal(lines(f"1 {SHA32} inline:{K30} UNENCRYPTED_SRTP"))

        assert 10 == error.line
        assert "device allow" not in str(error)
        assert K30[:8] not in str(error)


class TestCrypto:
    def test_a_line_we_wrote_reads_back(self) -> None:
        for suite in SrtpSuite:
            if suite.is_plain:
                continue
            ours = Crypto(tag=5, suite=suite, key=fresh_key(suite))

            assert ours == choose(lines(str(ours)), ANYTHING)

    def test_several_named_keys_read_back(self) -> None:
        suite = SrtpSuite.AEAD_AES_256_GCM
        keys = [fresh_key(suite), fresh_key(suite)]
        mkis = tuple(
            NamedKey(mki=bytes([0, at]), key=key) for at, key in enumerate(keys)
        )
        ours = Crypto(tag=5, suite=suite, key=keys[0], mkis=mkis)

        assert ours == choose(lines(str(ours)))

    def test_its_repr_shows_no_key(self) -> None:
        ours = Crypto(
            tag=1, suite=SrtpSuite.AEAD_AES_128_GCM, key=SecretBytes(bytes(28))
        )

        assert "AAAA" not in repr(ours)
