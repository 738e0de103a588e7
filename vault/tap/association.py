"""Waits on a media socket for its peer, and for keys.

The supervisor reads a socket only until there are keys; then a media worker does.

    STUN ──► answered, if it knows our password: its address has proved itself
    DTLS ──► from such an address to the handshake; without ICE, a cookie first
    RTP  ──► before there are keys: of no use, dropped
             after: *left in the kernel*; seeing it ends the wait

A server never hears that its last flight arrived: media is what says so, since a
client sends none before it.  So after the handshake datagrams are only peeked at;
DTLS is taken and answered by OpenSSL, which repeats the last flight if the peer
does, and the first datagram of media is the worker's.  A peer that sends none for
`LINGER_S` has our last flight, too.

Guarantees:
    * An address that has proved nothing costs no state, whatever it sends, and
      disturbs no handshake that runs (ES2023-01 to -03).
    * At most `MOST_HANDSHAKES` handshakes at a time with strangers, and as many with
      the host that the offer names; a wrong one ends none of the others.
    * No datagram of media is taken out of the socket once there are keys.
    * A flood costs the event loop a bounded share.

Left to others: what the keys are used for (`vault.recorder.handshakes`).

Spec: RFC 8445, section 7.3; RFC 5764, section 5.1; RFC 7983.
"""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import structlog

from vault.tap.dtls import (
    ExpectedPeer,
    Failure,
    Handshake,
    Identity,
    Keys,
    is_client_hello,
)
from vault.tap.orders import IceCredentials
from vault.tap.rtp import is_dtls, is_rtp_or_rtcp
from vault.tap.stun import Source, answer_check, is_stun

REFUSED: Final = "tap.handshake.refused"

MOST_HANDSHAKES: Final = 4
LINGER_S: Final = 8.0
"""A client repeats its last flight after 1, 2 and 4 s: two of three may be lost."""

_MOST_CHECKED: Final = 16
"Addresses that have passed a check and are remembered: a browser has a handful."
_MOST_ANSWERS: Final = 50
"Per second, to checks and to first ClientHellos: real peers need some ten."
_AT_ONCE: Final = 64
"Datagrams that are read before the event loop turns to others."
_REST_S: Final = 0.02
_STALE_S: Final = 10.0
"A handshake that is older makes room for another one of the same peer."
_ROOM: Final = 2048
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """Who is waited for, and how long."""

    identity: Identity
    peer: ExpectedPeer
    ice: IceCredentials | None = None
    "Ours; None where the offer has no ICE."
    checked: bool = False
    "Whether the peer makes connectivity checks, so that nobody else is listened to."
    host: str = ""
    "Address that the offer names: it always gets a turn, checked or not."
    within_s: float = 30.0


@dataclass(slots=True)
class _Attempt:
    handshake: Handshake
    began_s: float


class Association:
    """The wait on one socket; made on the event loop, for one `keys` and `settle`."""

    def __init__(
        self, end: socket.socket, expected: Expectation, *, reads: bool = True
    ) -> None:
        """Take *end* to send from, and to read unless others do (`hear`)."""
        self._end = end
        self._expected = expected
        self._ice = expected.ice
        self._loop = asyncio.get_running_loop()
        self._checked: dict[Source, None] = {}
        self._attempts: dict[Source | None, _Attempt] = {}
        self._failure: Failure | None = None
        self._said: set[Failure] = set()
        "Failures that the log knows of: strangers must not fill it."
        self._keys: Keys | None = None
        self._won: Handshake | None = None
        self._media_waits = False
        self._closed = not reads
        "Whether the socket is not read, or not any more."
        self._changed = asyncio.Event()
        self._until_s = self._loop.time() + expected.within_s
        self._second = 0
        self._answered = 0

    async def keys(self) -> Keys | Failure:
        """Return the peer's keys, or why there are none."""
        self._read_on()
        while self._keys is None and self._loop.time() < self._until_s:
            await self._change()
        if self._keys is not None:
            return self._keys
        self.close()
        if self._failure is None and self._expected.checked and not self._checked:
            return Failure.NO_CHECK
        return self._failure or Failure.NO_HANDSHAKE

    async def settle(self) -> None:
        """Return when the peer is known to have our last flight, after `keys`.

        From then on the socket is another reader's.
        """
        while not self._media_waits and self._loop.time() < self._until_s:
            await self._change()
        self.close()

    def hear(self, datagram: bytes, source: Source) -> None:
        """Take a datagram that somebody else has read, from a checked address."""
        if self._expected.checked:
            self._remember(source)
        self._take(datagram, source)

    def close(self) -> None:
        """Stop reading, at once; again is no error."""
        if not self._closed:
            self._closed = True
            self._loop.remove_reader(self._end)

    def renew(self, ice: IceCredentials) -> None:
        """Take checks under new credentials from now on (ICE restart)."""
        self._ice = ice

    async def _change(self) -> None:
        """Wait until something has happened, or a timer has run out."""
        self._changed.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), self._pause_s())
        self._on_time()

    # -- the socket ----------------------------------------------------------

    def _read_on(self) -> None:
        if not self._media_waits and not self._closed:
            self._loop.add_reader(self._end, self._read)

    def _read(self) -> None:
        for _ in range(_AT_ONCE):
            if not self._read_one():
                return
        # Nobody speaks so fast before there are keys: let the kernel drop some.
        self._loop.remove_reader(self._end)
        self._loop.call_later(_REST_S, self._read_on)

    def _read_one(self) -> bool:
        """Take or leave one datagram; whether to go on."""
        # Once there are keys a look comes first: media is not ours to take.
        flags = socket.MSG_PEEK if self._keys is not None else 0
        try:
            datagram, address = self._end.recvfrom(_ROOM, flags)
            if flags and is_rtp_or_rtcp(datagram):
                self._loop.remove_reader(self._end)
                self._media_waits = True
                self._changed.set()
                return False
            if flags:
                self._end.recv(_ROOM)
        except OSError:
            return False
        self._take(datagram, (address[0], address[1]))
        return True

    def _send(self, datagrams: list[bytes], source: Source) -> None:
        for datagram in datagrams:
            # What cannot be sent is lost, as it may be on any way.
            with contextlib.suppress(OSError):
                self._end.sendto(datagram, source)

    # -- datagrams -------------------------------------------------------------

    def _take(self, datagram: bytes, source: Source) -> None:
        if is_stun(datagram):
            self._take_check(datagram, source)
        elif is_dtls(datagram):
            self._take_dtls(datagram, source)

    def _take_check(self, datagram: bytes, source: Source) -> None:
        if self._ice is None or not self._may_answer():
            return
        answer = answer_check(datagram, source, self._ice)
        if answer is None:
            return
        self._answered += 1
        self._remember(source)
        self._send([answer], source)

    def _remember(self, source: Source) -> None:
        self._checked.pop(source, None)
        self._checked[source] = None
        if len(self._checked) > _MOST_CHECKED:
            del self._checked[next(iter(self._checked))]

    def _take_dtls(self, datagram: bytes, source: Source) -> None:
        if self._won is not None:
            # Only the one that we have keys with may have missed something.
            if source == self._won.source:
                self._feed(self._won, datagram, source)
                self._linger()
            return
        if not self._expected.checked:
            self._take_unchecked(datagram, source)
        elif source in self._checked:
            # One handshake, whichever of its checked addresses the peer uses.
            attempt = self._attempts.get(None)
            if is_client_hello(datagram) and self._is_over(attempt):
                attempt = self._begin(
                    None,
                    self._expected.identity.begin(self._expected.peer, source),
                )
            if attempt is not None:
                self._feed(attempt.handshake, datagram, source)

    def _take_unchecked(self, datagram: bytes, source: Source) -> None:
        attempt = self._attempts.get(source)
        if attempt is not None and not self._is_over(attempt):
            self._feed(attempt.handshake, datagram, source)
            return
        if not is_client_hello(datagram) or not self._may_answer():
            return
        self._answered += 1
        expected = self._expected
        begun, answers = expected.identity.listen(datagram, expected.peer, source)
        if begun is None:
            self._send(answers, source)
        elif self._has_room(source):
            self._begin(source, begun)
            self._send(answers, source)

    def _begin(self, key: Source | None, handshake: Handshake) -> _Attempt:
        attempt = _Attempt(handshake, self._loop.time())
        self._attempts[key] = attempt
        self._changed.set()  # it has a timer
        return attempt

    def _has_room(self, source: Source) -> bool:
        """Whether *source* gets a turn; what is over or stale makes room."""
        for key, attempt in list(self._attempts.items()):
            if self._is_over(attempt):
                del self._attempts[key]
        # Strangers cannot take the turns of the host that the offer names.
        named = source[0] == self._expected.host
        alike = sum((key[0] == self._expected.host) == named for key in self._sources())
        return alike < MOST_HANDSHAKES

    def _sources(self) -> Iterator[Source]:
        return (key for key in self._attempts if key is not None)

    def _is_over(self, attempt: _Attempt | None) -> bool:
        return (
            attempt is None
            or attempt.handshake.outcome is not None
            or self._loop.time() - attempt.began_s > _STALE_S
        )

    def _feed(self, handshake: Handshake, datagram: bytes, source: Source) -> None:
        handshake.source = source
        handshake.take(datagram)
        self._after(handshake)

    def _after(self, handshake: Handshake) -> None:
        """Send what a handshake has to say, and see whether it is done."""
        self._send(handshake.outgoing(), handshake.source)
        outcome = handshake.outcome
        if isinstance(outcome, Keys) and self._keys is None:
            self._keys, self._won = outcome, handshake
            self._attempts.clear()
            self._linger()
        elif isinstance(outcome, Failure):
            # Not the end of the wait: it may have been somebody else.
            self._failure = outcome
            if outcome not in self._said:
                self._said.add(outcome)
                _log.warning(REFUSED, reason=outcome.value)

    def _linger(self) -> None:
        self._until_s = self._loop.time() + LINGER_S
        self._changed.set()

    # -- time --------------------------------------------------------------------

    def _may_answer(self) -> bool:
        second = int(self._loop.time())
        if second != self._second:
            self._second, self._answered = second, 0
        return self._answered < _MOST_ANSWERS

    def _pause_s(self) -> float:
        waits = [self._until_s - self._loop.time()]
        for attempt in self._attempts.values():
            timeout_s = attempt.handshake.timeout_s()
            if timeout_s is not None:
                # OpenSSL's clock and ours may differ by a moment.
                waits.append(timeout_s + 0.001)
        return max(0.0, min(waits))

    def _on_time(self) -> None:
        for attempt in list(self._attempts.values()):
            timeout_s = attempt.handshake.timeout_s()
            if timeout_s is not None and timeout_s <= 0:
                attempt.handshake.on_timeout()
                self._after(attempt.handshake)
