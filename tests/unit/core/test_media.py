import pytest

from vault.core.media import STATIC_PAYLOADS, SrtpSuite


class TestSuites:
    @pytest.mark.parametrize(
        ("suite", "size"),
        [
            ("AEAD_AES_256_GCM", 44),
            ("AEAD_AES_128_GCM", 28),
            ("AES_256_CM_HMAC_SHA1_80", 46),
            ("AES_CM_128_HMAC_SHA1_80", 30),
            ("AES_256_CM_HMAC_SHA1_32", 46),
            ("AES_CM_128_HMAC_SHA1_32", 30),
            ("PLAIN_RTP", 0),
        ],
    )
    def test_key_and_salt_have_the_sizes_of_the_rfcs(
        self, suite: str, size: int
    ) -> None:
        assert size == SrtpSuite(suite).master_size_bytes

    @pytest.mark.parametrize(
        "suite", ["F8_128_HMAC_SHA1_80", "NULL_HMAC_SHA1_80", "aead_aes_256_gcm"]
    )
    def test_a_suite_without_a_tag_or_unknown_cannot_be_named(self, suite: str) -> None:
        with pytest.raises(ValueError):
            SrtpSuite(suite)

    def test_only_aead_overwrites_what_it_refuses(self) -> None:
        assert ["AEAD_AES_256_GCM", "AEAD_AES_128_GCM"] == [
            suite for suite in SrtpSuite if suite.is_aead
        ]

    def test_what_needs_an_allowance_comes_after_everything_else(self) -> None:
        unsafe = [suite.has_short_tag or suite.is_plain for suite in SrtpSuite]

        assert sorted(unsafe) == unsafe
        assert 3 == sum(unsafe)


class TestStaticPayloads:
    def test_every_format_stands_under_its_own_type(self) -> None:
        assert {number: number for number in STATIC_PAYLOADS} == {
            number: one.payload_type for number, one in STATIC_PAYLOADS.items()
        }

    def test_g722_runs_at_the_clock_that_rfc_3551_regrets(self) -> None:
        assert ("G722", 8000) == (
            STATIC_PAYLOADS[9].encoding,
            STATIC_PAYLOADS[9].clock_rate_hz,
        )
