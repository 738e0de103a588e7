"""SRTP keys that come late, as somebody hands them in and as the vault keeps them.

A file is lines, one for each ``a=crypto`` attribute, or the same as JSON:

    # stream   attribute, as in the SDP                              rollovers
    agent      a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNf…|2^31|1:4
    1          AEAD_AES_256_GCM inline:c2FtcGxl…                     roc=3
    *          AES_CM_128_HMAC_SHA1_80 inline:d0Rm…

    {"v": 1, "keys": [{"stream": "agent", "crypto": "1 AES_CM_…", "roc": 3}]}

A stream is a label, a number from 0, or ``*`` for all.

Guarantees:
    * ``LateKeys.parse(bytes(keys))`` gives the same keys.
    * No key, nor any piece of one, is in an error or a ``repr``.

Left to others: reading an attribute (`vault.sip.sdes`), trying the keys
(`vault.renditions.deferred`).

Spec: docs/howto/recover-a-recording.md; RFC 4568, sections 4 and 6
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Self

from vault.core import canonical
from vault.core.canonical import JsonObject
from vault.core.errors import (
    InvalidInputError,
    MalformedSignallingError,
    SealBrokenError,
)
from vault.core.flow import Allowance
from vault.sealing.padding import pad, unpad
from vault.sip.sdes import Crypto, choose
from vault.sip.sdp import Line

LATE_KEYS: Final = "srtp"
"Kind of the objects that hold late keys: ``srtp/0001``."

MAX_FILE_BYTES: Final = 64 * 1024
_MAX_KEYS: Final = 64
_EVERY_STREAM: Final = "*"
_STREAM: Final = re.compile(r"\*|[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_TAGGED: Final = re.compile(r"[0-9]{1,9}\s")
_ROC: Final = re.compile(r"roc=([0-9]{1,10})", re.IGNORECASE)
_MAX_ROC: Final = 2**32 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class LateKey:
    """One ``a=crypto`` attribute and the streams it may be for."""

    stream: str
    crypto: Crypto
    roc: int | None = None
    "Rollover counter of the first packet, where it is known."

    def fits(self, number: int, label: str) -> bool:
        """Tell whether it may be the key of a stream."""
        return self.stream in {_EVERY_STREAM, label, str(number)}


@dataclass(frozen=True, slots=True, kw_only=True)
class LateKeys:
    """Everything that was handed in at once; ``bytes()`` **shows the keys**."""

    keys: tuple[LateKey, ...]

    def __bytes__(self) -> bytes:
        return canonical.dumps(
            {
                "v": 1,
                "keys": [
                    {
                        "stream": each.stream,
                        "crypto": str(each.crypto),
                        **({} if each.roc is None else {"roc": each.roc}),
                    }
                    for each in self.keys
                ],
            }
        )

    def padded(self) -> bytes:
        """Return what is sealed: not even the number of keys shows in its size."""
        return pad(bytes(self))

    @classmethod
    def unpadded(cls, plaintext: bytes) -> Self:
        """Read what `padded` made and a seal has authenticated.

        Raises:
            SealBrokenError: It was not made by it.
        """
        try:
            return cls.parse(unpad(plaintext))
        except InvalidInputError:
            raise SealBrokenError("the object holds no late keys") from None

    @classmethod
    def parse(cls, octets: bytes) -> Self:
        """Read a file of keys, JSON or lines.

        Raises:
            InvalidInputError: It is neither, or a key cannot be used; the message
                says which line or which member of the list.
        """
        if len(octets) > MAX_FILE_BYTES:
            raise InvalidInputError("the file of keys is longer than 64 KiB")
        try:
            text = octets.decode()
        except UnicodeDecodeError:
            raise InvalidInputError("the file of keys is not text") from None
        keys = _of_json(text) if text.lstrip().startswith("{") else _of_lines(text)
        if not keys:
            raise InvalidInputError("the file holds no key")
        if len(keys) > _MAX_KEYS:
            raise InvalidInputError(f"the file holds more than {_MAX_KEYS} keys")
        return cls(keys=tuple(keys))


def _of_lines(text: str) -> list[LateKey]:
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        stream, *words = line.split()
        rocs = [word for word in words if _ROC.fullmatch(word)]
        if len(rocs) > 1:
            raise InvalidInputError(f"line {number}: more than one roc")
        found.append(
            _late_key(
                stream,
                " ".join(word for word in words if word not in rocs),
                int(rocs[0][4:]) if rocs else None,
                where=f"line {number}",
            )
        )
    return found


def _of_json(text: str) -> list[LateKey]:
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidInputError("the file of keys is not JSON") from None
    if said.get("v", 1) != 1 or not isinstance(said.get("keys"), list):
        raise InvalidInputError('the file of keys has no list "keys" of version 1')
    return [
        _of_members(each, where=f"key {number}")
        for number, each in enumerate(said["keys"], start=1)
    ]


def _of_members(said: object, *, where: str) -> LateKey:
    if not isinstance(said, Mapping) or said.keys() - {"stream", "crypto", "roc"}:
        raise InvalidInputError(f"{where}: members are stream, crypto and roc")
    members: JsonObject = {**said}
    stream, crypto = members.get("stream", _EVERY_STREAM), members.get("crypto")
    roc = members.get("roc")
    if isinstance(stream, bool) or not isinstance(stream, int | str):
        raise InvalidInputError(f"{where}: a stream is a label or a number")
    if not isinstance(crypto, str):
        raise InvalidInputError(f"{where}: crypto is missing")
    if isinstance(roc, bool) or not isinstance(roc, int | None):
        raise InvalidInputError(f"{where}: roc is a number")
    return _late_key(str(stream), crypto, roc, where=where)


def _late_key(stream: str, text: str, roc: int | None, *, where: str) -> LateKey:
    if not _STREAM.fullmatch(stream):
        raise InvalidInputError(f"{where}: a stream is a label, a number or *")
    if roc is not None and not 0 <= roc <= _MAX_ROC:
        raise InvalidInputError(f"{where}: a rollover counter has 32 bits")
    value = text.strip().removeprefix("a=").removeprefix("crypto:")
    if not _TAGGED.match(value):
        value = f"1 {value}"  # whoever writes suite and key alone means one line
    try:
        # Any suite: what was refused or allowed when the call ran is past.
        crypto = choose([Line(type="a", value=f"crypto:{value}")], _EVERYTHING)
    except MalformedSignallingError as exc:
        raise InvalidInputError(f"{where}: {exc}") from None
    if crypto is None:
        raise InvalidInputError(f"{where}: not a suite, or a parameter, that we know")
    # How long it was to be used does not matter to what it was used for.
    crypto = replace(crypto, lifetime_packets=None)
    return LateKey(stream=stream, crypto=crypto, roc=roc)


_EVERYTHING: Final = frozenset(Allowance)
