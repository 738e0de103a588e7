"""What a media worker does with datagrams that are no RTP, for as long as a call lasts.

A sender with ICE asks every few seconds whether we still want its packets (RFC 7675);
a browser that hears nothing for 30 s stops sending.  The worker answers.  Its DTLS,
where another handshake is expected, goes to the supervisor.

Guarantees:
    * At most `MOST_PER_TICK` answers per stream and tick, and at most `MOST_RELAYED`
      datagrams per worker and tick for the supervisor.
    * With ICE nothing is relayed but from an address that has passed a check.
    * What is not answered is counted like any other datagram that is no RTP.

Left to others: which checks are right (`vault.tap.stun`), handshakes
(`vault.tap.association`).
"""

from typing import TYPE_CHECKING, Any, Final, TypeAlias

import cffi

from vault.tap.orders import IceCredentials
from vault.tap.rtp import is_dtls
from vault.tap.source_lock import address_of
from vault.tap.stun import answer_check, is_stun

if TYPE_CHECKING:
    from vault.tap.calls import Stream
    from vault.tap.source_lock import Port

Relayed: TypeAlias = "tuple[Stream, bytes, tuple[str, int]]"
"Of which stream, what, and from where."

MOST_PER_TICK: Final = 16
"A browser with a handful of addresses needs less."

MOST_RELAYED: Final = 64
"A handshake has some five datagrams, and repeats what is lost."

_MOST_PROVED: Final = 8
"Addresses that are remembered: enough for a peer, and for thousands of streams."
_MSG_DONTWAIT: Final = 0x40
_ffi = cffi.FFI()
_ffi.cdef("ssize_t sendto(int, const char *, size_t, int, const char *, unsigned int);")
_sendto: Any = _ffi.dlopen(None).sendto


class Consent:
    """Whom one stream answers."""

    __slots__ = ("_answered", "_at_s", "_ice", "_previous", "_proved")

    def __init__(self, ice: IceCredentials) -> None:
        self._ice = ice
        self._previous: IceCredentials | None = None
        self._at_s = 0.0
        self._answered = 0
        self._proved: dict[bytes, None] = {}

    def has_proved(self, source: bytes) -> bool:
        """Whether a check from *source* has passed of late."""
        return source in self._proved

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
        self._proved.pop(source, None)
        self._proved[source] = None
        if len(self._proved) > _MOST_PROVED:
            del self._proved[next(iter(self._proved))]
        # What cannot be sent now is lost, as it may be on any way.
        _sendto(fd, answer, len(answer), _MSG_DONTWAIT, source, len(source))
        return True


def set_aside(
    port: "Port", i: int, length: int, now_s: float, relayed: list[Relayed]
) -> bool:
    """Do what is to do about datagram *i*, which is no RTP; whether it was answered.

    What goes to the supervisor is added to *relayed*.
    """
    stream, slots = port.stream, port.stream.slots
    consent, relays = stream.consent, stream.order.relays
    if consent is None and not relays:
        return False
    datagram, source = bytes(slots.packet(i, length)), slots.source(i)
    if consent is not None and consent.answer(port.fd, datagram, source, now_s):
        return True
    if relays and is_dtls(datagram) and len(relayed) < MOST_RELAYED:
        found = address_of(source)
        if found is not None and (consent is None or consent.has_proved(source)):
            relayed.append((stream, datagram, found))
    return False
