"""The warden: connections in, one writer behind them, a clean end.

A role is fixed per connection: `serve` hands each child an inherited descriptor
and names its role; on the Unix socket the kernel names the peer's uid
(SO_PEERCRED) and the configuration maps it to a role.

Guarantees:
    * A uid without a role is not served; an operator of our own uid has to show that
      he may open the proof, which processes confined by `vault.confine` may not.
    * ``process.started`` is durable before the first request is read, and
      ``process.stopped`` is the last leaf of a clean end.
    * `Warden.request_stop` may be called from a signal handler.

Left to others: making keyring, log and catalog (`vault.wiring`), one warden at a
time (`vault.warden.main`).

Spec: docs/explanation/warden.md; unix(7), SO_PEERCRED
"""

import os
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from vault.audit.entry import Action, Draft
from vault.core.errors import AuditUnavailableError, VaultError
from vault.core.flow import Actor, ActorKind, Caller
from vault.process import peer_credentials
from vault.trust.interfaces import WardenHealth
from vault.warden.admission import Admission
from vault.warden.connection import Connection
from vault.warden.interfaces import LogWriter
from vault.warden.journal import say
from vault.warden.roles import Role, parse_role
from vault.warden.service import VIA_WARDEN, WardenParts, WardenService
from vault.warden.writer import LeafWriter

EVENT_STARTED: Final = "warden.started"
EVENT_STOPPED: Final = "warden.stopped"
EVENT_PEER_REFUSED: Final = "warden.peer.refused"
EVENT_UPKEEP_FAILED: Final = "warden.upkeep.failed"

_MAX_CONNECTIONS: Final = 64
_UPKEEP_INTERVAL_S: Final = 3600.0
_BEGINNING_S: Final = 15.0
"""For the first leaf: nobody waits for what it would release, and a disk that is busy
while a machine starts is no reason not to."""
_PATIENCE_S: Final = 2.5
"A little more than a request may take."


class Warden:
    """The warden of one vault, in one process."""

    def __init__(
        self,
        parts: WardenParts,
        log: LogWriter,
        *,
        upkeep: Callable[["Warden"], None] | None = None,
    ) -> None:
        """Put a warden together; nothing runs before `start`.

        Args:
            parts: Keys, envelopes, rows and clocks.
            log: The audit log, opened; this warden is its only user.
            upkeep: Called at start and every hour: renews the roster.
        """
        self._writer = LeafWriter(log, monotonic=parts.monotonic)
        self._service = WardenService(parts, self._writer)
        self._upkeep = upkeep
        self._uid_roles: Mapping[int, Role] = {}
        self._proof: Path | None = None
        self._listener: socket.socket | None = None
        self._acceptor: threading.Thread | None = None
        self._caretaker: threading.Thread | None = None
        self._connections: list[Connection] = []
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        # A pipe and not an Event: setting an Event in a signal handler can
        # deadlock with the very wait that it interrupts.
        self._wake_read, self._wake_write = os.pipe()

    def start(
        self,
        connections: Sequence[tuple[str, socket.socket]] = (),
        listener: socket.socket | None = None,
        uid_roles: Mapping[int, str] | None = None,
        proof: Path | None = None,
    ) -> None:
        """Write ``process.started``, then serve in the background.

        Args:
            connections: Role and connected socket of each inherited descriptor.
            listener: A listening Unix socket, or None.
            uid_roles: Which role a peer of which uid has on *listener*.
            proof: A file that an operator of this process's own uid shows to be able
                to open, since confined processes have that uid, too.  Whoever of it
                does not has the role that *uid_roles* gives it, or none.

        Raises:
            ConfigurationError: There is no such role.
            AuditUnavailableError: The log does not work: there is no warden.
        """
        self._proof = proof
        inherited = [(parse_role(role), sock) for role, sock in connections]
        self._uid_roles = {
            uid: parse_role(role) for uid, role in (uid_roles or {}).items()
        }
        self._writer.start()
        try:
            self._service.append_own(
                _process_draft(Action.PROCESS_STARTED), within_s=_BEGINNING_S
            )
            self._run_upkeep()
        except BaseException:
            self._writer.stop()
            raise
        for role, sock in inherited:
            self._serve(sock, role)
        if listener is not None:
            self._listener = listener
            self._acceptor = threading.Thread(
                target=self._accept, args=(listener,), name="warden-acceptor"
            )
            self._acceptor.start()
        if self._upkeep is not None:
            self._caretaker = threading.Thread(
                target=self._care, name="warden-caretaker"
            )
            self._caretaker.start()
        say("info", EVENT_STARTED, connections=len(inherited))

    def attach(self, role: str, sock: socket.socket) -> None:
        """Serve one more socket of *role*; a warden that stops closes it at once.

        Raises:
            ConfigurationError: There is no such role.
        """
        self._serve(sock, parse_role(role))

    def append(self, *drafts: Draft) -> None:
        """Append leaves of the warden's own.

        Raises:
            AuditUnavailableError: Not durable within 2 s.
        """
        self._service.append_own(*drafts)

    def health(self) -> WardenHealth:
        """Say how the log feels."""
        return self._service.health()

    def serve_forever(self) -> None:
        """Block until `request_stop`, then stop cleanly."""
        os.read(self._wake_read, 1)
        self.stop()

    def serve(
        self,
        connections: Sequence[tuple[str, socket.socket]],
        listener: socket.socket | None,
        uid_roles: Mapping[int, str],
    ) -> None:
        """Start, and serve until `request_stop`; see `start`."""
        self.start(connections, listener, uid_roles)
        self.serve_forever()

    def request_stop(self) -> None:
        """Ask `serve_forever` to end; safe in a signal handler."""
        with suppress(OSError):
            os.write(self._wake_write, b".")

    def stop(self) -> None:
        """Answer what is in flight, write ``process.stopped``, and end."""
        # 1. Nobody new, nothing new.
        with self._lock:
            self._stopping.set()
        if self._listener is not None:
            with suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
        for thread in (self._acceptor, self._caretaker):
            if thread is not None:
                thread.join()
        # 2. What is in flight is answered, or abandoned after its two seconds.
        with self._lock:
            connections, self._connections = self._connections, []
        for connection in connections:
            connection.stop_reading()
        until_s = time.monotonic() + _PATIENCE_S
        for connection in connections:
            connection.close(patience_s=max(0.0, until_s - time.monotonic()))
        self._service.trail.close()
        # 3. The last leaf.
        try:
            self.append(_process_draft(Action.PROCESS_STOPPED))
        except AuditUnavailableError as exc:
            say("warning", EVENT_STOPPED, why=str(exc))
        self._writer.stop()
        os.close(self._wake_read)
        os.close(self._wake_write)
        say("info", EVENT_STOPPED)

    # ----------------------------------------------------------- connections

    def _serve(self, sock: socket.socket, peer: Role | Admission) -> None:
        with self._lock:
            self._connections = [each for each in self._connections if each.is_alive]
            if self._stopping.is_set() or len(self._connections) >= _MAX_CONNECTIONS:
                name = str(peer) if isinstance(peer, Role) else "socket"
                say("warning", EVENT_PEER_REFUSED, role=name, why="too many")
                sock.close()
                return
            connection = Connection(sock, peer, self._service)
            self._connections.append(connection)
            # Under the lock, or the next `_serve` could take it for a dead one.
            connection.start()

    def _accept(self, listener: socket.socket) -> None:
        while not self._stopping.is_set():
            try:
                sock, _ = listener.accept()
            except OSError:
                if self._stopping.is_set():
                    return
                # Out of descriptors, most likely: give others time to close.
                self._stopping.wait(0.1)
                continue
            self._admit(sock)

    def _admit(self, sock: socket.socket) -> None:
        _, uid = peer_credentials(sock)
        role = self._uid_roles.get(uid)
        ours = self._proof is not None and uid == os.geteuid()
        if role is None and not ours:
            say("warning", EVENT_PEER_REFUSED, uid=uid, why="no role")
            sock.close()
        elif self._proof is None and role is not None:
            self._serve(sock, role)
        elif self._proof is not None:
            # Web, tap and worker of `serve` have our uid, too: an operator is who is
            # not confined like them.
            proven = Role.CLI if ours else None
            self._serve(sock, Admission(user=role, proof=self._proof, proven=proven))

    # ---------------------------------------------------------------- upkeep

    def _care(self) -> None:
        while not self._stopping.wait(_UPKEEP_INTERVAL_S):
            self._run_upkeep()

    def _run_upkeep(self) -> None:
        if self._upkeep is None:
            return
        try:
            self._upkeep(self)
        except VaultError as exc:
            # Taps go on with the newest keys they know; the next hour tries again.
            say("error", EVENT_UPKEEP_FAILED, why=str(exc))


def _process_draft(action: Action) -> Draft:
    return Draft(
        action=action,
        caller=Caller(actor=Actor(kind=ActorKind.PROCESS, id=VIA_WARDEN)),
        detail={"process": VIA_WARDEN},
    )
