"""How a stream that offered DTLS-SRTP comes to its keys, as it stands now.

An `Agreement` is made when an offer is answered and gets its keys when the
handshake is done.  A later offer may replace it (RFC 8842): until the new one has
keys, those of the old one count.

Guarantees: our password and the keys are `SecretBytes`; nothing here shows them.

Left to others: handshakes (`vault.recorder.handshakes`, `vault.tap.association`).
"""

import base64
import secrets
from dataclasses import dataclass, replace
from enum import StrEnum, unique
from typing import Final, Self

from vault.core.secrets import SecretBytes
from vault.sip.dtls import AnsweredDtls, DtlsOffer, Fingerprint
from vault.sip.sdes import Crypto
from vault.tap.orders import IceCredentials

KEYS_BY_DTLS: Final = "DTLS_SRTP"
"What a stream says for its suite until a handshake has chosen one."

_UFRAG_OCTETS: Final = 6
_PASSWORD_OCTETS: Final = 24
_TLS_ID_OCTETS: Final = 18


@unique
class Keying(StrEnum):
    """Where a handshake stands, in the words that a device gets to read."""

    PENDING = "pending"
    DONE = "done"
    NO_CHECK = "no-check"
    "In time, nobody passed a connectivity check."
    NO_HANDSHAKE = "no-handshake"
    "In time, nobody began a handshake, or none came to its end."
    WRONG_CERTIFICATE = "wrong-certificate"
    "Who came had another certificate than the offer says."
    NO_SUITE = "no-suite"
    "Who came had no SRTP protection profile that we take (RFC 5764, section 4.1)."
    INTERRUPTED = "interrupted"
    "The recorder was started again before the end."


@dataclass(slots=True, kw_only=True)
class Agreement:
    """What offer and answer say of the DTLS association of one stream."""

    offer: DtlsOffer
    ours: AnsweredDtls
    crypto: Crypto | None = None
    "What protects the media, once the handshake is done."
    state: Keying = Keying.PENDING

    @classmethod
    def begin(
        cls, offer: DtlsOffer, fingerprint: Fingerprint, *, before: Self | None = None
    ) -> Self:
        """Return one for *offer*.

        The keys of the one *before* count until this has some; its credentials stay
        unless the peer has restarted ICE (RFC 8839, section 4.4.1.1.1).
        """
        tls_id = _random(_TLS_ID_OCTETS) if offer.tls_id else ""
        ours = AnsweredDtls(fingerprint=fingerprint, tls_id=tls_id)
        if before is None:
            begun = cls(offer=offer, ours=ours)
            begun.restart_ice(offer)
            return begun
        ours = replace(ours, ufrag=before.ours.ufrag, password=before.ours.password)
        begun = cls(offer=before.offer, ours=ours, crypto=before.crypto)
        begun.take(offer)
        return begun

    def take(self, offer: DtlsOffer) -> None:
        """Go on with *offer*, of the same association."""
        if offer.ice != self.offer.ice:
            self.restart_ice(offer)
        self.offer = offer

    def restart_ice(self, offer: DtlsOffer) -> None:
        """Have fresh credentials of ours, if *offer* has ICE."""
        has_ice = offer.ice is not None
        self.ours = replace(
            self.ours,
            ufrag=_random(_UFRAG_OCTETS) if has_ice else "",
            password=SecretBytes(_random(_PASSWORD_OCTETS).encode() * has_ice),
        )

    @property
    def ice(self) -> IceCredentials | None:
        """What answers to connectivity checks are authenticated with."""
        if self.offer.ice is None:
            return None
        return IceCredentials(ufrag=self.ours.ufrag, password=self.ours.password)


def _random(octets: int) -> str:
    """Return *octets* random octets as ice-chars (RFC 8839, section 5.4)."""
    return base64.b64encode(secrets.token_bytes(octets)).decode()
