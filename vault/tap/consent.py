"""A media worker's answers to connectivity checks, for as long as a call lasts.

The sender asks every few seconds whether we still want its packets (RFC 7675); a
browser that hears nothing for 30 s stops sending.

Guarantees: at most `MOST_PER_TICK` answers per stream and tick; a check that is not
answered is counted like any other datagram that is no RTP.

Left to others: which checks are right (`vault.tap.stun`).
"""

from typing import Any, Final

import cffi

from vault.tap.orders import IceCredentials
from vault.tap.source_lock import address_of
from vault.tap.stun import answer_check, is_stun

MOST_PER_TICK: Final = 16
"A browser with a handful of addresses needs less."

_MSG_DONTWAIT: Final = 0x40
_ffi = cffi.FFI()
_ffi.cdef("ssize_t sendto(int, const char *, size_t, int, const char *, unsigned int);")
_sendto: Any = _ffi.dlopen(None).sendto


class Consent:
    """Whom one stream answers."""

    __slots__ = ("_answered", "_at_s", "_ice", "_previous")

    def __init__(self, ice: IceCredentials) -> None:
        self._ice = ice
        self._previous: IceCredentials | None = None
        self._at_s = 0.0
        self._answered = 0

    def renew(self, ice: IceCredentials) -> None:
        """Take new credentials; the old ones hold until the new ones are used."""
        if ice != self._ice:
            self._previous, self._ice = self._ice, ice

    def answer(self, fd: int, datagram: bytes, source: bytes, now_s: float) -> bool:
        """Answer *datagram* if it is a check that passes; whether it was.

        Args:
            fd: Where it was received, and the answer leaves from.
            datagram: As received.
            source: Socket address that it came from.
            now_s: Of the tick: the same for everything that one tick takes in.
        """
        if not is_stun(datagram):
            return False
        if now_s != self._at_s:
            self._at_s, self._answered = now_s, 0
        found = address_of(source)
        if found is None or self._answered >= MOST_PER_TICK:
            return False
        answer = answer_check(datagram, found, self._ice)
        if answer is not None:
            self._previous = None
        elif self._previous is not None:
            answer = answer_check(datagram, found, self._previous)
        if answer is None:
            return False
        self._answered += 1
        # What cannot be sent now is lost, as it may be on any way.
        _sendto(fd, answer, len(answer), _MSG_DONTWAIT, source, len(source))
        return True
