"""The warden's client: what every other process holds to write, open and ask.

Guarantees:
    * Thread-safe; many calls share one connection.
    * Every call returns or raises within 2 s: no warden, a killed one and a
      stopped one are all `AuditUnavailableError`.
    * No call is repeated behind the caller's back.  A client made with `at` or
      `through` connects again on the next call; one made with `over` lives as
      long as its socket, because the role belongs to that descriptor.

Left to others: deciding anything (`vault.warden`), the words on the wire
(`vault.trust.messages`).

Spec: docs/reference/formats/warden-protocol.md
"""

import socket
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Final, Self, TypeVar

from vault.audit.entry import Draft
from vault.core.errors import AuditUnavailableError, InvalidInputError, NotFoundError
from vault.core.flow import Caller, Purpose
from vault.core.ids import GrantId, RecordingId
from vault.core.secrets import SecretBytes
from vault.process import show_file
from vault.trust import answers
from vault.trust import messages as m
from vault.trust.drafts import MAX_DRAFTS
from vault.trust.interfaces import IndexToken, SealedRow, WardenHealth
from vault.trust.link import Link
from vault.trust.shapes import Members

_HEALTH_TIMEOUT_S: Final = 1.0
"Health is answered from memory: later than this is not healthy."

_FOREVER_S: Final = float("inf")

_Answer = TypeVar("_Answer")


class WardenClient:
    """Implements `vault.trust.interfaces.Warden` over a socket."""

    def __init__(
        self, link: Link | None, connect: Callable[[float], socket.socket] | None
    ) -> None:
        """Use `over`, `at` or `through`."""
        self._lock = threading.Lock()
        self._link = link
        self._connect = connect
        self._closed = False

    @classmethod
    def over(cls, sock: socket.socket) -> Self:
        """Return a client on a connected socket, which it owns from now on."""
        return cls(Link(sock), None)

    @classmethod
    def at(cls, path: Path, *, proof: Path | None = None) -> Self:
        """Return a client that dials the Unix socket at *path* when it needs to.

        Args:
            path: Where the warden listens.
            proof: A file to show that this process may open (`vault.process`).
        """
        return cls(None, lambda deadline: _dial(path, deadline, proof))

    @classmethod
    def through(cls, door: socket.socket) -> Self:
        """Return a client that sends its connections through *door*.

        The door is a SEQPACKET socket that stays the caller's to close; each
        connection is one end of a fresh pair, and its role is the door's.  A
        warden that dies leaves the door open for the next one.
        """
        return cls(None, lambda deadline: _knock(door, deadline))

    def close(self) -> None:
        """Close the connection; later calls raise `AuditUnavailableError`."""
        with self._lock:
            self._closed = True
            link, self._link = self._link, None
        if link is not None:
            link.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    # --------------------------------------------------------------- calls

    def append(self, *drafts: Draft) -> None:
        """See `Trail.append`; more than 100 drafts take more than one request."""
        for start in range(0, len(drafts), MAX_DRAFTS):
            request = m.AppendRequest(drafts=drafts[start : start + MAX_DRAFTS])
            self._ask(request).done()

    def release(
        self,
        recording_id: RecordingId,
        *,
        caller: Caller,
        purpose: Purpose,
        grant: GrantId | None = None,
        right: str = "",
        reason: str = "",
    ) -> SecretBytes:
        """See `KeyRelease.release`."""
        answer = self._ask(
            m.ReleaseRequest(
                recording_id=recording_id,
                caller=caller,
                purpose=purpose,
                grant=grant,
                right=right,
                reason=reason,
            )
        )
        return _readable(answers.parse_key_answer, answer)

    def open_rows(
        self, caller: Caller, recordings: Sequence[RecordingId]
    ) -> Mapping[RecordingId, bytes]:
        """See `RowKeys.open_rows`; what does not fit one frame is asked for again."""
        found: dict[RecordingId, bytes] = {}
        wanted = tuple(dict.fromkeys(recordings))
        while True:
            request = m.OpenRowsRequest(caller=caller, recordings=wanted)
            opened = _readable(answers.OpenedRows.parse, self._ask(request))
            found.update(opened.rows)
            if len(opened.rest) >= len(wanted):
                raise AuditUnavailableError("the warden opened nothing")
            if not opened.rest:
                return found
            wanted = opened.rest

    def seal_row(
        self, recording_id: RecordingId, metadata: bytes, *, month: str
    ) -> tuple[SealedRow, Sequence[IndexToken]]:
        """See `RowKeys.seal_row`."""
        request = m.SealRowRequest(
            recording_id=recording_id, metadata=metadata, month=month
        )
        return _readable(answers.parse_sealed_row_answer, self._ask(request))

    def tokens(
        self, caller: Caller, *, field: str, value: str, months: Collection[str]
    ) -> Mapping[str, bytes]:
        """See `RowKeys.tokens`."""
        request = m.TokensRequest(
            caller=caller, field=field, value=value, months=tuple(sorted(months))
        )
        return _readable(answers.parse_tokens_answer, self._ask(request))

    def texts(self, caller: Caller, index: int, *, right: str) -> Mapping[str, str]:
        """See `Texts.texts`."""
        request = m.TextsRequest(caller=caller, index=index, right=right)
        return _readable(answers.parse_texts_answer, self._ask(request))

    def health(self) -> WardenHealth:
        """Ask how the warden feels; one that does not answer is not healthy."""
        try:
            answer = self._ask(m.HealthRequest(), timeout_s=_HEALTH_TIMEOUT_S)
            return _readable(answers.parse_health_answer, answer)
        except AuditUnavailableError as exc:
            return WardenHealth(
                healthy=False,
                last_append_age_s=_FOREVER_S,
                log_size=0,
                detail=str(exc),
            )

    def ask(
        self,
        request: m.Request,
        parse: Callable[[Members], _Answer],
        *,
        timeout_s: float = m.TIMEOUT_S,
    ) -> _Answer:
        """Ask what has no method of its own here, and return the parsed answer.

        Raises:
            AuditUnavailableError: No answer within *timeout_s*, or none that parses.
            VaultError: What the warden refused with.
        """
        return _readable(parse, self._ask(request, timeout_s=timeout_s))

    # ------------------------------------------------------------- dialling

    def _ask(self, request: m.Request, *, timeout_s: float = m.TIMEOUT_S) -> Members:
        deadline = time.monotonic() + timeout_s
        return self._linked(deadline).ask(request, deadline=deadline)

    def _linked(self, deadline: float) -> Link:
        # Dialling under the lock: threads that come meanwhile would only dial
        # the same dead address.  They wait no longer than their own deadline.
        if not self._lock.acquire(timeout=max(0.0, deadline - time.monotonic())):
            raise AuditUnavailableError("the warden did not answer in time")
        try:
            if self._closed:
                raise AuditUnavailableError("this client was closed")
            if self._link is not None and not self._link.is_broken:
                return self._link
            if self._connect is None:
                raise AuditUnavailableError("the warden went away")
            self._link = Link(self._connect(deadline))
            return self._link
        finally:
            self._lock.release()


def _dial(path: Path, deadline: float, proof: Path | None) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.settimeout(max(0.001, deadline - time.monotonic()))
        sock.connect(str(path))
        if proof is not None:
            show_file(sock, proof)
    except OSError as exc:
        sock.close()
        raise AuditUnavailableError(
            f"no warden answers ({type(exc).__name__})"
        ) from None
    return sock


def _knock(door: socket.socket, deadline: float) -> socket.socket:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with theirs:
            # A door that is full has a warden behind it that takes nothing.
            door.settimeout(max(0.001, deadline - time.monotonic()))
            socket.send_fds(door, [b"c"], [theirs.fileno()])
    except OSError as exc:
        ours.close()
        raise AuditUnavailableError(
            f"no warden behind the door ({type(exc).__name__})"
        ) from None
    return ours


def _readable(parse: Callable[[Members], _Answer], answer: Members) -> _Answer:
    """Read *answer*, which has to be what was asked for and nothing else."""
    try:
        value = parse(answer)
        answer.done()
    except (InvalidInputError, NotFoundError):
        raise AuditUnavailableError("the warden's answer is unreadable") from None
    return value
