"""Which new passwords are taken: long, not guessable, not used before, not known.

Guarantees:
    * No rule asks for kinds of characters, and any character but NUL may be in one:
      blanks, and those beyond the Basic Multilingual Plane.
    * A list of breached passwords is looked up without a network, and in little memory
      whatever its size.
    * What is refused is named by its rule; the password is in no message.

Left to others: hashing (`vault.access.passwords`), when a password must change
(`vault.access.provisioning`).

Spec: NIST SP 800-63B-4, section 3.1.1; PCI DSS 4.0.1, 8.3.6 and 8.3.7
"""

import hashlib
import os
import re
import unicodedata
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from vault.access.passwords import Passwords
from vault.core.errors import (
    ConfigurationError,
    InvalidInputError,
    NotAuthenticatedError,
    UnavailableError,
)

_SCORED: Final = 72
"Characters that zxcvbn looks at: its work grows with the square of them."

_CONTEXT: Final = ("callvault", "vault", "recording")
_HASH_LINE: Final = re.compile(rb"([0-9A-Fa-f]{16,40})(?::[0-9]{1,12})?\r?\n?")
_LINE_BYTES: Final = 4096
_BLOCK_BYTES: Final = 1 << 20
_SHA1_DIGITS: Final = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordRulesConfig:
    """What is asked of new passwords, beside their length."""

    min_score: int = 3
    "Of zxcvbn, 0 to 4."

    history: int = 4
    "How many earlier passwords are refused, besides the present one."

    breach_list: Path | None = None


class PasswordRules:
    """Looks at new passwords; safe to share between threads."""

    def __init__(
        self, passwords: Passwords, config: PasswordRulesConfig | None = None
    ) -> None:
        self._passwords = passwords
        self._config = config or PasswordRulesConfig()
        if self._config.breach_list is not None:
            # A list that can't be read would be one that nothing is on.
            _look_up(self._config.breach_list, "")

    @property
    def history(self) -> int:
        """How many earlier passwords are kept to be refused."""
        return self._config.history

    def hash(
        self, password: str, *, about: Collection[str], before: Collection[str] = ()
    ) -> str:
        """Return the hash to keep of a new *password*.

        Args:
            password: As typed.
            about: What anybody who guesses would try first: the person's name.
            before: Hashes of the present and of earlier passwords.

        Raises:
            InvalidInputError: It breaks a rule; the message says which.
            ThrottledError: Too many hashes are waiting.
            UnavailableError: The list of breached passwords can't be read.
        """
        # 1. Length and characters; and with them how long the rest can take.
        hashed = self._passwords.hash(password)
        # 2. What a guesser with the person's name would need.
        if _score(password, about) < self._config.min_score:
            raise InvalidInputError(
                "this password is easy to guess: take more words, or more characters"
            )
        # 3. What others have used.
        file = self._config.breach_list
        if file is not None and _look_up(file, password):
            raise InvalidInputError("this password is on a list of known ones")
        # 4. What the person has used.
        for stored in before:
            with suppress(NotAuthenticatedError):
                self._passwords.verify(stored, password)
                raise InvalidInputError("this password was used before")
        return hashed


def _score(password: str, about: Collection[str]) -> int:
    # Only where passwords are set: its word lists take a while to load.
    from zxcvbn import zxcvbn  # type: ignore[import-untyped]  # noqa: PLC0415 - see above

    words = [word for name in (*about, *_CONTEXT) for word in (name, name.casefold())]
    typed = unicodedata.normalize("NFC", password)[:_SCORED]
    return int(zxcvbn(typed, user_inputs=words)["score"])


def _look_up(file: Path, password: str) -> bool:
    """Return whether *password* is on the list.

    Raises:
        ConfigurationError: Hashes, and not in order: they would not be found.
        UnavailableError: It can't be read.
    """
    octets = unicodedata.normalize("NFC", password).encode("utf-8", "replace")
    try:
        with file.open("rb") as opened:
            if _HASH_LINE.fullmatch(opened.readline(_LINE_BYTES)):
                digest = hashlib.sha1(octets, usedforsecurity=False).hexdigest()
                return _among_hashes(opened, digest.encode())
            opened.seek(0)
            return _among_words(opened, {octets, octets.lower()})
    except OSError as exc:
        raise UnavailableError(
            f"password_breach_list can't be read ({exc.strerror})"
        ) from None


def _among_hashes(opened: BinaryIO, digest: bytes) -> bool:
    """Find *digest*, in lower case, in lines that are in order: halve what is left."""
    low, high = 0, os.fstat(opened.fileno()).st_size
    least, most = b"", b"g" * _SHA1_DIGITS
    while low < high:
        middle = (low + high) // 2
        start, line = _line_from(opened, middle)
        if line is None or start >= high:
            high = middle
            continue
        if not least <= line <= most:
            raise ConfigurationError("password_breach_list: hashes must be in order")
        if digest.startswith(line):
            return True
        if line < digest:
            low, least = opened.tell(), line
        else:
            high, most = middle, line
    return False


def _line_from(opened: BinaryIO, at: int) -> tuple[int, bytes | None]:
    """Return the first line that begins at *at* or later, and where it begins."""
    opened.seek(max(0, at - 1))
    if at:
        opened.readline(_LINE_BYTES)
    start = opened.tell()
    line = opened.readline(_LINE_BYTES)
    if not line:
        return start, None
    found = _HASH_LINE.fullmatch(line)
    if found is None:
        raise ConfigurationError("password_breach_list: a line is no hash")
    return start, found[1].lower()


def _among_words(opened: BinaryIO, wanted: Collection[bytes]) -> bool:
    rest = b""
    while block := opened.read(_BLOCK_BYTES):
        lines = (rest + block).replace(b"\r\n", b"\n").split(b"\n")
        rest = lines.pop()[-_LINE_BYTES:]
        if not {*lines}.isdisjoint(wanted):
            return True
    return rest.removesuffix(b"\r") in wanted
