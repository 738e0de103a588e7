"""The key of a witness as text, in the form in which Go's notes keep keys.

    PRIVATE+KEY+NAME+hex(key id)+base64(0x01 ‖ seed (32))

One line with everything: other witnesses read it, so that a key need not stay with
this program.  The key id in it is that of a plain note key (type 1), as theirs is.

Guarantees: a key that was mistyped does not parse; nothing of it is in a message.

Left to others: the file, and who may read it (`vault.serving.witness`).

Spec: golang.org/x/mod/sumdb/note, GenerateKey
"""

from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from vault.audit import notes
from vault.audit.cosignature import CosignatureSigner
from vault.core.errors import ConfigurationError, TrailBrokenError
from vault.core.secrets import SecretBytes

_PREFIX: Final = "PRIVATE+KEY+"
_ED25519: Final = b"\x01"


def new_key(name: str) -> SecretBytes:
    """Make a key for the witness of that *name*.

    Raises:
        ConfigurationError: No name that a witness can have.
    """
    if not notes.is_key_name(name) or not name.isascii():
        raise ConfigurationError("the name of a witness has no blank and no plus sign")
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes_raw()
    key_id = notes.key_id_of(name, _ED25519, public).hex()
    seed = notes.to_base64(_ED25519 + key.private_bytes_raw())
    return SecretBytes(f"{_PREFIX}{name}+{key_id}+{seed}\n".encode())


def parse_key(text: SecretBytes) -> CosignatureSigner:
    """Read a key.

    Raises:
        ConfigurationError: Not one, or it does not match its own id.
    """
    try:
        spelled = text.reveal().decode().strip()
        name, key_id, encoded = spelled.removeprefix(_PREFIX).split("+", 2)
        octets = notes.from_base64(encoded)
        if not spelled.startswith(_PREFIX) or octets[:1] != _ED25519:
            raise ConfigurationError("not the key of a witness")
        signer = CosignatureSigner.from_seed(name=name, seed=SecretBytes(octets[1:]))
    except (ValueError, TrailBrokenError):
        raise ConfigurationError("not the key of a witness") from None
    public = signer.cosigner.public_key
    if notes.key_id_of(name, _ED25519, public).hex() != key_id:
        raise ConfigurationError("the key does not match its own id")
    return signer
