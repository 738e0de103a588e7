"""Certificates that devices are known by: from a PEM file to a fingerprint.

Only the fingerprint counts: a device's certificate is pinned, not believed because
somebody signed it, so that neither names nor dates in it decide anything here.

Guarantees: a fingerprint is 64 lower-case hexadecimal digits, however it was written.

Left to others: whether a peer holds the key of a certificate, and its dates
(`vault.sip.transport`).

Spec: RFC 5280; RFC 7469, section 2.4, for why the whole certificate would not be
pinned in a browser: here one operator runs both ends.
"""

import hashlib
import re
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from vault.core.errors import InvalidInputError

MAX_PEM_BYTES: Final = 65_536
_PREFIX: Final = "sha256:"
_FINGERPRINT: Final = re.compile(r"[0-9a-f]{64}")


def parse_fingerprint(text: str) -> str:
    """Read ``sha256:`` and 64 hexadecimal digits, with or without colons.

    Raises:
        InvalidInputError: Anything else.
    """
    plain = text.strip().lower().removeprefix(_PREFIX).replace(":", "")
    if not _FINGERPRINT.fullmatch(plain):
        raise InvalidInputError("a fingerprint is sha256: and 64 hexadecimal digits")
    return plain


def fingerprint_of(pem: bytes) -> str:
    """Return the fingerprint of the first certificate in *pem*: a chain's own.

    Raises:
        InvalidInputError: No certificate, or too long to be one.
    """
    if len(pem) > MAX_PEM_BYTES:
        raise InvalidInputError(f"a PEM file of more than {MAX_PEM_BYTES} octets")
    try:
        certificates = x509.load_pem_x509_certificates(pem)
    except ValueError:
        raise InvalidInputError("no PEM file with a certificate in it") from None
    return hashlib.sha256(certificates[0].public_bytes(Encoding.DER)).hexdigest()
