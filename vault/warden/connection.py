"""One connection: one role, one reader, many requests at once.

Guarantees:
    * The role is given when the connection is made and no message changes it.
    * A frame that is malformed or too long closes the connection; a sound frame
      with a wrong request is refused and the connection goes on.
    * Work is bounded: beyond 128 requests in flight the next one is refused.
    * Health is answered by the reader itself, so it comes when all else waits.
    * A peer that does not read its answers holds up its own connection only.

Left to others: what a request does (`vault.warden.service`), who may connect
(`vault.warden.server`).

Spec: docs/reference/formats/warden-protocol.md
"""

import socket
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Final

from vault.core.canonical import JsonObject
from vault.core.errors import (
    AuditUnavailableError,
    InvalidInputError,
    UnavailableError,
    VaultError,
)
from vault.trust import answers, frames
from vault.trust import messages as m
from vault.trust.trail_messages import TRAIL_CALLS
from vault.warden.admission import Admission
from vault.warden.journal import say
from vault.warden.roles import Role
from vault.warden.service import WardenService

EVENT_CONNECTION_REFUSED: Final = "warden.connection.malformed"
EVENT_CALL_BROKE: Final = "warden.call.broke"

_MAX_IN_FLIGHT: Final = 128
_THREADS: Final = 32
_READING: Final = TRAIL_CALLS | {m.TextsRequest.call}
"Calls that search the log."


class Connection:
    """Serves one socket."""

    def __init__(
        self, sock: socket.socket, peer: Role | Admission, service: WardenService
    ) -> None:
        """Own *sock* from now on; every request on it comes from *peer*."""
        sock.settimeout(None)
        self._sock = sock
        self._peer = peer
        self._service = service
        self._writing = threading.Lock()
        self._slots = threading.BoundedSemaphore(_MAX_IN_FLIGHT)
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="warden-call")
        self._reader = threading.Thread(target=self._run, name="warden-reader")

    @property
    def is_alive(self) -> bool:
        """Whether the peer may still send requests."""
        return self._reader.is_alive()

    def start(self) -> None:
        """Begin to read."""
        self._reader.start()

    def stop_reading(self) -> None:
        """Take no more requests; those in flight are still answered."""
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_RD)

    def close(self, *, patience_s: float) -> None:
        """Close: let requests in flight end, but wait for *patience_s* at most."""
        self.stop_reading()
        self._reader.join(patience_s)
        # Whoever still writes does so to a peer that does not read.
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._reader.join()

    # ------------------------------------------------------------ the reader

    def _run(self) -> None:
        try:
            peer = self._peer
            role = peer if isinstance(peer, Role) else peer.role_of(self._sock)
            while (octets := frames.receive(self._sock)) is not None:
                self._take(_Asked(role=role, octets=octets))
        except InvalidInputError as exc:
            name = str(self._peer) if isinstance(self._peer, Role) else "socket"
            say("warning", EVENT_CONNECTION_REFUSED, role=name, why=str(exc))
            # What is in flight is abandoned, too: this peer is not one of ours.
            with suppress(OSError):
                self._sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the peer is gone; nobody is left to tell
        finally:
            self._pool.shutdown(wait=True)
            self._sock.close()

    def _take(self, asked: "_Asked") -> None:
        envelope = asked.envelope
        if envelope.call == m.HealthRequest.call:
            self._send(_health(envelope, self._service))
        elif envelope.call in _READING:
            self._read_trail(asked)
        elif self._slots.acquire(blocking=False):
            self._pool.submit(self._serve, asked)
        else:
            busy = AuditUnavailableError("too many requests are in flight")
            self._send(m.encode_refusal(envelope.id, busy))

    def _read_trail(self, asked: "_Asked") -> None:
        # In threads of their own: a slow search must not hold up a leaf.
        try:
            self._service.trail.submit(lambda: self._send(self._reply(asked)))
        except UnavailableError as busy:
            self._send(m.encode_refusal(asked.envelope.id, busy))

    # -------------------------------------------------------------- the pool

    def _serve(self, asked: "_Asked") -> None:
        try:
            self._send(self._reply(asked))
        finally:
            self._slots.release()

    def _reply(self, asked: "_Asked") -> bytes:
        envelope = asked.envelope
        try:
            answer: JsonObject = self._service.answer(
                asked.role, envelope.request(), deadline_s=asked.deadline_s
            )
            return m.encode_answer(envelope.id, answer)
        except VaultError as exc:
            return m.encode_refusal(envelope.id, exc)
        except Exception as exc:  # noqa: BLE001 - the request ends here; its peer must hear of it
            say(
                "error",
                EVENT_CALL_BROKE,
                call=envelope.call,
                error=type(exc).__name__,
                where=_where(exc),
            )
            return m.encode_refusal(
                envelope.id, UnavailableError("the warden failed; see its log")
            )

    def _send(self, octets: bytes) -> None:
        with self._writing, suppress(OSError):
            self._sock.sendall(frames.frame(octets))


class _Asked:
    """One request: who asks, what, and until when its leaf counts."""

    def __init__(self, *, role: Role, octets: bytes) -> None:
        self.role = role
        self.deadline_s = time.monotonic() + m.TIMEOUT_S
        self.envelope = m.Envelope.parse(octets)


def _health(envelope: m.Envelope, service: WardenService) -> bytes:
    try:
        envelope.request()
    except InvalidInputError as exc:
        return m.encode_refusal(envelope.id, exc)
    return m.encode_answer(envelope.id, answers.health_answer(service.health()))


def _where(exc: Exception) -> str:
    steps = traceback.extract_tb(exc.__traceback__)
    return f"{steps[-1].filename}:{steps[-1].lineno}" if steps else "?"
