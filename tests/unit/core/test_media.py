import pytest

from vault.core.media import STATIC_PAYLOADS, SrtpSuite


class TestSuites:
    @pytest.mark.parametrize(
        ("suite", "size"),
        [
            ("AEAD_AES_256_GCM", 44),
            ("AEAD_AES_128_GCM", 28),
            ("AES_CM_128_HMAC_SHA1_80", 30),
        ],
    )
    def test_key_and_salt_have_the_sizes_of_the_rfcs(
        self, suite: str, size: int
    ) -> None:
        assert size == SrtpSuite(suite).master_size_bytes

    @pytest.mark.parametrize(
        "suite", ["AES_CM_128_HMAC_SHA1_32", "NULL_HMAC_SHA1_80", "aead_aes_256_gcm"]
    )
    def test_a_weak_or_unknown_suite_cannot_be_named(self, suite: str) -> None:
        with pytest.raises(ValueError):
            SrtpSuite(suite)

    def test_only_aead_overwrites_what_it_refuses(self) -> None:
        assert [True, True, False] == [suite.is_aead for suite in SrtpSuite]


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
