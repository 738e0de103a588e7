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
from vault.warden.journal import say
from vault.warden.roles import Role
from vault.warden.service import WardenService

EVENT_CONNECTION_REFUSED: Final = "warden.connection.malformed"
EVENT_CALL_BROKE: Final = "warden.call.broke"

_MAX_IN_FLIGHT: Final = 128
_THREADS: Final = 32


class Connection:
    """Serves one socket."""

    def __init__(self, sock: socket.socket, role: Role, service: WardenService) -> None:
        """Own *sock* from now on; every request on it comes from *role*."""
        sock.settimeout(None)
        self._sock = sock
        self._role = role
        self._service = service
        self._writing = threading.Lock()
        self._slots = threading.BoundedSemaphore(_MAX_IN_FLIGHT)
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix=f"warden-{role}")
        self._reader = threading.Thread(target=self._run, name=f"warden-{role}-reader")

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
            while (octets := frames.receive(self._sock)) is not None:
                self._take(octets, time.monotonic())
        except InvalidInputError as exc:
            say("warning", EVENT_CONNECTION_REFUSED, role=str(self._role), why=str(exc))
            # What is in flight is abandoned, too: this peer is not one of ours.
            with suppress(OSError):
                self._sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the peer is gone; nobody is left to tell
        finally:
            self._pool.shutdown(wait=True)
            self._sock.close()

    def _take(self, octets: bytes, received_s: float) -> None:
        envelope = m.Envelope.parse(octets)
        if envelope.call == m.HealthRequest.call:
            self._send(_health(envelope, self._service))
        elif self._slots.acquire(blocking=False):
            self._pool.submit(self._serve, envelope, received_s + m.TIMEOUT_S)
        else:
            busy = AuditUnavailableError("too many requests are in flight")
            self._send(m.encode_refusal(envelope.id, busy))

    # -------------------------------------------------------------- the pool

    def _serve(self, envelope: m.Envelope, deadline_s: float) -> None:
        try:
            self._send(self._reply(envelope, deadline_s))
        finally:
            self._slots.release()

    def _reply(self, envelope: m.Envelope, deadline_s: float) -> bytes:
        try:
            answer: JsonObject = self._service.answer(
                self._role, envelope.request(), deadline_s=deadline_s
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


def _health(envelope: m.Envelope, service: WardenService) -> bytes:
    try:
        envelope.request()
    except InvalidInputError as exc:
        return m.encode_refusal(envelope.id, exc)
    return m.encode_answer(envelope.id, answers.health_answer(service.health()))


def _where(exc: Exception) -> str:
    steps = traceback.extract_tb(exc.__traceback__)
    return f"{steps[-1].filename}:{steps[-1].lineno}" if steps else "?"
