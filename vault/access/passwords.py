"""Passwords: Argon2id, at most two at a time, and the same work for everybody.

Guarantees:
    * A name that does not exist costs the same hash as one that does.
    * Never more than *concurrent* hashes run at once; more than *queue* waiting
      are refused, so that a flood of guesses leaves the processor to playback.
    * The same text typed in two Unicode forms is the same password.

Left to others: counting failures (`vault.access.throttle`).

Spec: RFC 9106; NIST SP 800-63B, section 5.1.1.
"""

import secrets
import threading
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from vault.core.errors import (
    InvalidInputError,
    NotAuthenticatedError,
    ThrottledError,
)

MIN_CHARACTERS: Final = 12
MAX_OCTETS: Final = 1024

_REFUSED: Final = "the name or the password is wrong"


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordConfig:
    """What one hash costs, and how many may run."""

    memory_kib: int = 64 * 1024
    "KiB of memory per hash."

    iterations: int = 3
    lanes: int = 4

    concurrent: int = 2
    "Hashes at once: two cores' worth, 64 MiB each."

    queue: int = 50
    "Callers that may wait for their turn before more are refused."


class Passwords:
    """Hashes and checks passwords; safe to share between threads."""

    def __init__(self, config: PasswordConfig | None = None) -> None:
        config = config or PasswordConfig()
        self._hasher = PasswordHasher(
            time_cost=config.iterations,
            memory_cost=config.memory_kib,
            parallelism=config.lanes,
        )
        self._turns = threading.BoundedSemaphore(config.concurrent)
        self._places = threading.BoundedSemaphore(config.concurrent + config.queue)
        # Of a password that nobody has: unknown names are checked against it.
        self._dummy = self._hasher.hash(secrets.token_bytes(32))

    def hash(self, password: str) -> str:
        """Return the hash to keep for a new *password*.

        Raises:
            InvalidInputError: Shorter than 12 characters, longer than 1,024
                octets, or with a NUL.
            ThrottledError: Too many hashes are waiting.
        """
        octets = _octets(password)
        if octets is None:
            raise InvalidInputError(
                f"a password has at most {MAX_OCTETS} octets and no NUL"
            )
        if len(unicodedata.normalize("NFC", password)) < MIN_CHARACTERS:
            raise InvalidInputError(
                f"a password has at least {MIN_CHARACTERS} characters"
            )
        with self._turn():
            return self._hasher.hash(octets)

    def verify(self, stored: str | None, password: str) -> str | None:
        """Check *password* against the *stored* hash.

        Args:
            stored: The person's hash; None for somebody who does not exist, or
                may not sign in: the work is the same.
            password: As typed.

        Returns:
            A new hash to keep where the costs have been raised since; else None.

        Raises:
            NotAuthenticatedError: It is not the password.
            ThrottledError: Too many hashes are waiting.
        """
        octets = _octets(password)
        known = stored if octets is not None else None
        with self._turn():
            try:
                self._hasher.verify(known or self._dummy, octets or b"")
            except (Argon2Error, InvalidHashError):
                raise NotAuthenticatedError(_REFUSED) from None
            if known is None or octets is None:
                raise NotAuthenticatedError(_REFUSED)
            if self._hasher.check_needs_rehash(known):
                return self._hasher.hash(octets)
        return None

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._places.acquire(blocking=False):
            raise ThrottledError("too many sign-ins at once", retry_after_s=1)
        try:
            with self._turns:
                yield
        finally:
            self._places.release()


def _octets(password: str) -> bytes | None:
    """Return what is hashed, or None for what can be nobody's password."""
    if len(password) > MAX_OCTETS or "\0" in password:
        return None
    try:
        octets = unicodedata.normalize("NFC", password).encode("utf-8")
    except UnicodeEncodeError:
        return None
    return octets if len(octets) <= MAX_OCTETS else None
