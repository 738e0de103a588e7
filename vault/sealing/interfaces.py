"""What sealing asks of others: octets to open, and a place that holds private keys."""

from typing import Protocol

from vault.core.secrets import SecretBytes
from vault.sealing.envelope import WrappedKey


class RangeSource(Protocol):
    """Sealed octets that can be read at any offset: an object, a file, a buffer.

    It is not trusted: what it returns is authenticated, and what it says about
    the size is proved by opening the last chunk.
    """

    @property
    def size(self) -> int:
        """Octets that there are now."""
        ...

    def read(self, start: int, stop: int) -> bytes:
        """Return the octets ``[start, stop)``; fewer where they do not exist.

        Raises:
            NotFoundError: The object is gone.
            StoreUnavailableError: Safe to retry.
        """
        ...


class PrivateKeys(Protocol):
    """Where private keys rest: a keyring file, later an HSM or a key service.

    Instances are safe to share between threads.
    """

    def open(self, wrapped: WrappedKey, info: bytes) -> SecretBytes:
        """Return the data key inside *wrapped*, if it was wrapped under *info*.

        An implementation MUST refuse a data key that was wrapped under any
        other *info*: that is what ties an envelope to its recording.

        Raises:
            KeyUnavailableError: The key that *wrapped* names is not here, or
                cannot be used now.
            SealBrokenError: It is here, and *wrapped* does not open with it.
        """
        ...
