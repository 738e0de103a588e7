import json
from pathlib import Path

import pytest

from tests.simulators.srtp_peers import PROTECTED, fresh_key
from vault.core.media import SrtpSuite
from vault.core.secrets import SecretBytes
from vault.tap.srtp_keys import SessionKeys, derive

VECTORS = Path(__file__).parents[2] / "vectors/tap"
RFC_3711 = json.loads((VECTORS / "rfc3711_b3.json").read_text())["vectors"][0]
RFC_6188 = json.loads((VECTORS / "srtp_aes256.json").read_text())["key_derivation"]


@pytest.mark.parametrize("vector", [RFC_3711, RFC_6188], ids=["rfc3711", "rfc6188"])
class TestVectorsOfTheRfcs:
    @pytest.mark.parametrize(
        ("label", "name"),
        [(0, "label0_cipher"), (1, "label1_auth"), (2, "label2_salt")],
    )
    def test_are_derived(self, vector: dict[str, str], label: int, name: str):
        key, salt = (bytes.fromhex(vector[n]) for n in ("master_key", "master_salt"))

        derived = derive(key, salt, label, len(vector[name]) // 2)

        assert derived.hex() == vector[name]

    def test_are_the_keys_of_a_suite(self, vector: dict[str, str]):
        master = SecretBytes(
            bytes.fromhex(vector["master_key"] + vector["master_salt"])
        )
        suite = {
            30: SrtpSuite.AES_CM_128_HMAC_SHA1_80,
            46: SrtpSuite.AES_256_CM_HMAC_SHA1_80,
        }[len(master)]

        keys = SessionKeys.derive(suite, master)

        assert keys.encryption.hex() == vector["label0_cipher"]
        assert keys.authentication.hex() == vector["label1_auth"]
        assert keys.salt.hex() == vector["label2_salt"]


class TestSessionKeys:
    def test_of_rtp_and_rtcp_have_nothing_in_common(self):
        suite = SrtpSuite.AES_256_CM_HMAC_SHA1_80
        key = fresh_key(suite)

        rtp, rtcp = (
            SessionKeys.derive(suite, key),
            SessionKeys.derive(suite, key, rtcp=True),
        )

        assert rtp.encryption != rtcp.encryption
        assert rtp.authentication != rtcp.authentication
        assert rtp.salt != rtcp.salt

    def test_are_not_shown(self):
        suite = SrtpSuite.AEAD_AES_128_GCM
        keys = SessionKeys.derive(suite, fresh_key(suite))

        assert repr(keys) == "SessionKeys()"

    @pytest.mark.parametrize("suite", list(SrtpSuite))
    def test_need_a_master_key_of_the_length_of_the_suite(self, suite: SrtpSuite):
        with pytest.raises(ValueError, match="no master key"):
            SessionKeys.derive(suite, SecretBytes(bytes(29)))

    def test_plain_rtp_has_none(self):
        with pytest.raises(ValueError, match="no master key"):
            SessionKeys.derive(SrtpSuite.PLAIN_RTP, SecretBytes(b""))

    @pytest.mark.parametrize("suite", PROTECTED)
    def test_have_the_sizes_of_the_suite(self, suite: SrtpSuite):
        keys = SessionKeys.derive(suite, fresh_key(suite))

        assert len(keys.salt) == (12 if suite.is_aead else 14)
        assert len(keys.encryption) + len(keys.salt) == suite.master_size_bytes
        assert len(keys.authentication) == 20
