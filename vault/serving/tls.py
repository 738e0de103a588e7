"""TLS of the HTTP listeners.

Guarantees: TLS 1.2 or newer, with forward secrecy and authenticated encryption only;
no compression, no renegotiation, and no session ticket whose key would outlive it.

Spec: RFC 9325 (BCP 195)
"""

import ssl
from pathlib import Path

from vault.core.errors import ConfigurationError
from vault.core.tls import CIPHERS


def server_context(cert: Path, key: Path, *, name: str) -> ssl.SSLContext:
    """Return what *cert* and *key* are served with.

    Args:
        cert: PEM file, the chain after it.
        key: PEM file without a passphrase.
        name: Of the listener, for messages.

    Raises:
        ConfigurationError: They cannot be read, or do not go together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.options |= (
        ssl.OP_NO_COMPRESSION
        | ssl.OP_NO_RENEGOTIATION
        | ssl.OP_NO_TICKET
        | ssl.OP_CIPHER_SERVER_PREFERENCE
    )
    context.set_alpn_protocols(["http/1.1"])
    try:
        # A key with a passphrase is refused and not asked for on the terminal.
        context.load_cert_chain(cert, key, password=lambda: "")
    except (OSError, ssl.SSLError) as exc:
        raise ConfigurationError(f"{name}: TLS: {exc}") from None
    return context
