"""One connection to the warden, shared by all threads of a process.

Many requests are in flight on one socket: each has a number, one background
thread reads the answers and hands each to the thread that waits for it.

Guarantees:
    * `Link.ask` returns or raises by its deadline, whatever the warden does:
      killed, stopped, or not reading what we send.
    * A request that ran out of time never leaves half a frame behind: the rest
      of it goes out before the next one, so a stopped warden that comes back
      finds a sound stream.
    * An answer that comes after its caller has given up is dropped.

Left to others: what the octets mean (`vault.trust.messages`), dialling again
(`vault.trust.client`).
"""

import itertools
import select
import socket
import threading
import time
from concurrent.futures import Future
from contextlib import suppress
from typing import Final

from vault.core.errors import AuditUnavailableError, InvalidInputError, VaultError
from vault.trust import frames
from vault.trust.messages import Request, encode_request, parse_reply
from vault.trust.shapes import Members

_JOIN_S: Final = 2.0


class Link:
    """A socket to the warden, and who waits for which answer."""

    def __init__(self, sock: socket.socket) -> None:
        # Blocking, for the reader; writes say MSG_DONTWAIT and poll.
        sock.settimeout(None)
        self._sock = sock
        self._lock = threading.Lock()
        self._waiting: dict[int, Future[Members | VaultError]] = {}
        self._broken = False
        self._writing = threading.Lock()
        self._unsent = b""
        self._numbers = itertools.count(1)
        self._reader = threading.Thread(
            target=self._read, name="warden-client", daemon=True
        )
        self._reader.start()

    @property
    def is_broken(self) -> bool:
        """Whether no answer can come over this link any more."""
        return self._broken

    def ask(self, request: Request, *, deadline: float) -> Members:
        """Send *request* and return its answer.

        Args:
            request: What to ask.
            deadline: `time.monotonic` seconds by which to answer or raise.

        Raises:
            AuditUnavailableError: No answer in time, or the connection broke.
            InvalidInputError: The request does not fit a frame.
            VaultError: What the warden refused with.
        """
        number = next(self._numbers)
        octets = frames.frame(encode_request(number, request))
        future: Future[Members | VaultError] = Future()
        with self._lock:
            if self._broken:
                raise AuditUnavailableError("the connection to the warden broke")
            self._waiting[number] = future
        try:
            self._send(octets, deadline)
            reply = future.result(timeout=max(0.0, deadline - time.monotonic()))
        except TimeoutError:
            raise AuditUnavailableError("the warden did not answer in time") from None
        finally:
            with self._lock:
                self._waiting.pop(number, None)
        if isinstance(reply, VaultError):
            raise reply
        return reply

    def close(self) -> None:
        """Close the connection; everyone who waits is refused."""
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        if threading.current_thread() is not self._reader:
            self._reader.join(_JOIN_S)

    # ------------------------------------------------------------- writing

    def _send(self, octets: bytes, deadline: float) -> None:
        if not self._writing.acquire(timeout=max(0.0, deadline - time.monotonic())):
            raise TimeoutError
        try:
            self._drain(deadline)  # half a frame of someone who gave up
            self._unsent = octets
            try:
                self._drain(deadline)
            except TimeoutError:
                # Not one octet went out: forget the request, nothing is torn.
                if len(self._unsent) == len(octets):
                    self._unsent = b""
                raise
        except OSError as exc:
            if isinstance(exc, TimeoutError):
                raise
            self._fail()
            raise AuditUnavailableError("the connection to the warden broke") from None
        finally:
            self._writing.release()

    def _drain(self, deadline: float) -> None:
        while self._unsent:
            try:
                sent = self._sock.send(
                    self._unsent, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL
                )
                self._unsent = self._unsent[sent:]
            except BlockingIOError:
                self._wait_writable(deadline)

    def _wait_writable(self, deadline: float) -> None:
        # poll(), because select() fails for descriptors beyond 1023.
        poller = select.poll()
        poller.register(self._sock, select.POLLOUT)
        left_ms = (deadline - time.monotonic()) * 1000
        if left_ms <= 0 or not poller.poll(left_ms):
            raise TimeoutError

    # ------------------------------------------------------------- reading

    def _read(self) -> None:
        try:
            while (octets := frames.receive(self._sock)) is not None:
                self._hand_over(octets)
        except (OSError, InvalidInputError):
            pass  # a broken stream ends the link; `_fail` tells who waits
        finally:
            self._fail()
            self._sock.close()

    def _hand_over(self, octets: bytes) -> None:
        number, reply = parse_reply(octets)
        with self._lock:
            future = self._waiting.pop(number, None)
        if future is not None:
            future.set_result(reply)

    def _fail(self) -> None:
        with self._lock:
            self._broken = True
            waiting, self._waiting = self._waiting, {}
        for future in waiting.values():
            future.set_result(AuditUnavailableError("the warden went away"))
