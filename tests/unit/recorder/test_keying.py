"""What offer and answer agree on for a stream keyed by DTLS."""

import re
from dataclasses import replace

from vault.core.media import SrtpSuite
from vault.core.secrets import SecretBytes
from vault.recorder.keying import Agreement, Keying
from vault.sip.dtls import DtlsOffer, Fingerprint, IceOffer
from vault.sip.sdes import Crypto
from vault.tap.dtls import Failure

OURS = Fingerprint(algorithm="sha-256", digest=bytes(32))
THEIRS = Fingerprint(algorithm="sha-256", digest=bytes(range(32)))
ICE = IceOffer(ufrag="peer", password="p" * 22)
OFFER = DtlsOffer(fingerprints=(THEIRS,), ice=ICE)
RESTARTED = replace(OFFER, ice=replace(ICE, ufrag="again"))


class TestAgreement:
    def test_our_credentials_are_long_and_fresh(self) -> None:
        one, other = (Agreement.begin(OFFER, OURS) for _ in range(2))

        ice = one.ice
        assert ice is not None
        assert re.fullmatch("[A-Za-z0-9+/]{8}", ice.ufrag)
        assert re.fullmatch(b"[A-Za-z0-9+/]{32}", ice.password.reveal())
        assert other.ice != ice
        assert ice.password.reveal().decode() not in repr(one)

    def test_without_ice_there_are_none(self) -> None:
        agreed = Agreement.begin(replace(OFFER, ice=None), OURS)

        assert (agreed.ice, agreed.ours.ufrag) == (None, "")

    def test_a_later_offer_changes_them_only_with_an_ice_restart(self) -> None:
        agreed = Agreement.begin(OFFER, OURS)
        first = agreed.ice

        agreed.take(OFFER)
        kept = agreed.ice
        agreed.take(RESTARTED)

        assert kept == first
        assert agreed.ice != first
        assert agreed.offer == RESTARTED

    def test_the_next_association_begins_with_the_keys_of_the_last(self) -> None:
        before = Agreement.begin(OFFER, OURS)
        key = SecretBytes(bytes(44))
        before.crypto = Crypto(tag=0, suite=SrtpSuite.AEAD_AES_256_GCM, key=key)
        before.state = Keying.DONE
        offer = replace(OFFER, fingerprints=(OURS,))

        same_ice = Agreement.begin(offer, OURS, before=before)
        other_ice = Agreement.begin(
            replace(offer, ice=RESTARTED.ice), OURS, before=before
        )

        assert (same_ice.crypto, same_ice.state) == (before.crypto, Keying.PENDING)
        assert same_ice.ice == before.ice
        assert other_ice.ice != before.ice

    def test_a_tls_id_is_ours_alone(self) -> None:
        agreed = Agreement.begin(replace(OFFER, tls_id="x" * 20), OURS)

        assert re.fullmatch("[A-Za-z0-9+/]{24}", agreed.ours.tls_id)


def test_every_failure_of_a_handshake_has_a_word_for_devices() -> None:
    assert {failure.value for failure in Failure} <= {state.value for state in Keying}
