"""RFC 3161 time stamps: what an outside authority says of a checkpoint's octets.

Guarantees: a response counts only if an authority under the given roots signed it, with
a certificate for time stamping, over these very octets, and, when it was just asked
for, with the nonce of the question.

Left to others: asking (`vault.auditor.stamping`), keeping.  Whoever has a response and
the roots checks it without us: ``openssl ts -verify``.

Spec: RFC 3161, RFC 5816
"""

import time
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography.x509 import load_pem_x509_certificates
from rfc3161_client import (
    HashAlgorithm,
    TimeStampRequest,
    TimestampRequestBuilder,
    TimeStampResponse,
    VerificationError,
    VerifierBuilder,
    decode_timestamp_response,
)

from vault.core.errors import ConfigurationError, TrailBrokenError

MAX_BYTES: Final = 65_536
_AHEAD_S: Final = 300
"How far the authority's clock may be ahead of ours."


class TimeStamps:
    """Checks time stamps under the roots of one file."""

    def __init__(self, roots: Path) -> None:
        """Load the roots.

        Raises:
            ConfigurationError: The file holds none.
        """
        try:
            # Bundles of roots may hold one twice; the library takes each once.
            found = load_pem_x509_certificates(roots.read_bytes())
            self._roots = list(dict.fromkeys(found))
        except (OSError, ValueError):
            raise ConfigurationError(
                f"{roots} holds no certificate in PEM: audit_timestamp_ca"
            ) from None

    def check(
        self, response: bytes, octets: bytes, *, asked: TimeStampRequest | None = None
    ) -> datetime:
        """Return when *octets* existed, as *response* says.

        Args:
            response: A ``TimeStampResp`` in DER.
            octets: What was stamped.
            asked: The question, where it was just asked.

        Raises:
            TrailBrokenError: It does not hold, or is of something else.
        """
        if len(response) > MAX_BYTES:
            raise TrailBrokenError("the time stamp is too large")
        builder = (
            VerifierBuilder() if asked is None else VerifierBuilder.from_request(asked)
        )
        for root in self._roots:
            builder = builder.add_root_certificate(root)
        try:
            found = decode_timestamp_response(response)
            builder.build().verify_message(found, octets)
            return _time_of(found)
        except (VerificationError, ValueError) as exc:
            # The first sentence is the library's own; what follows may quote.
            why = str(exc).partition("\n")[0][:120]
            raise TrailBrokenError(f"the time stamp does not hold: {why}") from None


def question_about(octets: bytes) -> TimeStampRequest:
    """Return the question for a time stamp over *octets*: SHA-512, a nonce."""
    builder = TimestampRequestBuilder(data=octets, hash_algorithm=HashAlgorithm.SHA512)
    return builder.nonce(nonce=True).cert_request(cert_request=True).build()


def _time_of(response: TimeStampResponse) -> datetime:
    said: datetime = response.tst_info.gen_time
    if said.timestamp() > time.time() + _AHEAD_S:
        raise TrailBrokenError("the time stamp is of the future")
    return said
