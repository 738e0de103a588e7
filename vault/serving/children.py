"""One child process and how it is kept alive.

Guarantees: a child inherits exactly the descriptors it was given; a secret reaches
it through a pipe and never through its arguments or environment; a child that dies
is started again, at once and then later each time, until it has run for a minute.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog

from vault.core.errors import UnavailableError
from vault.core.secrets import SecretBytes

CHILD_STARTED: Final = "child.started"
CHILD_DIED: Final = "child.died"
CHILD_KILLED: Final = "child.killed"

_READY: Final = b"ready"
_START_S: Final = 60.0
"Longest that a child may take until it serves."
_GIVING_UP_S: Final = 5.0
_LONGEST_WAIT_S: Final = 30.0
_SETTLED_S: Final = 60.0
_VAULT: Final = (sys.executable, "-m", "vault")

log = structlog.get_logger()


@dataclass(slots=True, kw_only=True)
class Child:
    """A process of the installation, restarted when it dies."""

    name: str
    arguments: Callable[[], Sequence[str]]
    "Called at every start: descriptors may differ."
    descriptors: Callable[[], Sequence[int]] = field(default=lambda: ())
    "Called before `arguments`."
    spawned: Callable[[int], None] = field(default=lambda _: None)
    "Told the process id when it has inherited its descriptors."
    died: Callable[[int], None] = field(default=lambda _: None)
    "Told the status of one that ended without being asked, or was ended by force."
    passphrase: SecretBytes | None = field(default=None, repr=False)
    program: Sequence[str] = _VAULT
    longest_wait_s: float = _LONGEST_WAIT_S
    "Longest that one that died is not started again."
    restarts: int = 0
    "Deaths in a row since it last ran for a minute."
    process: subprocess.Popen[bytes] | None = None
    _started: float = 0.0
    _ready: int = -1
    "The pipe on which it says that it serves; -1 once it has, or is dead."
    _again: float | None = None
    "When a dead one is to be started again."

    def start(self) -> None:
        """Start the child and wait until it says that it is ready.

        Raises:
            UnavailableError: See `await_ready`.
        """
        self.spawn()
        self.await_ready()

    def spawn(self) -> None:
        """Start the child and do not wait."""
        self._ready, ready_write = os.pipe()
        os.set_blocking(self._ready, False)
        inherited = [ready_write, *self.descriptors()]
        command = [*self.program, *self.arguments(), "--ready-fd", str(ready_write)]
        secret_read = -1
        if self.passphrase is not None:
            secret_read = _piped(self.passphrase)
            inherited.append(secret_read)
            command += ["--passphrase-fd", str(secret_read)]
        try:
            self.process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                command,
                pass_fds=inherited,
                stdin=subprocess.DEVNULL,
                # Ctrl-C reaches the parent alone, which stops the others in order.
                start_new_session=True,
            )
        finally:
            os.close(ready_write)
            if secret_read >= 0:
                os.close(secret_read)
        self._started, self._again = time.monotonic(), None
        self.spawned(self.process.pid)

    def await_ready(
        self, *, within_s: float = _START_S, wanted: Callable[[], bool] = lambda: True
    ) -> None:
        """Wait until the child says that it is ready.

        Args:
            within_s: How long; it is ended when it stays silent for longer.
            wanted: Asked all the while; waiting ends when it is not any more.

        Raises:
            UnavailableError: It ended or stayed silent; its own message is on
                standard error.
        """
        assert self.process is not None
        while not (heard := self._hear()):
            if heard is False or self.process.poll() is not None:
                status = self._ended()
                raise UnavailableError(f"{self.name} could not start (status {status})")
            if time.monotonic() - self._started > within_s:
                self._end()
                raise UnavailableError(
                    f"{self.name} was not ready within {within_s:.0f} s"
                )
            if not wanted():
                return
            time.sleep(0.02)

    def keep_alive(self) -> None:
        """Look after the child; called now and then, and never waits.

        One that died is started again, at once the first time and later each time.
        One that starts and does not get ready is ended, and has died.
        """
        if self.process is None:
            return
        if not self.alive:
            self._revive(time.monotonic())
            return
        heard = self._hear()
        if heard is False or (heard is None and self._is_late()):
            self._end()

    def _revive(self, now: float) -> None:
        if self._again is None:
            self._forget_pipe()
            settled = now - self._started > _SETTLED_S
            self.restarts = 1 if settled else self.restarts + 1
            wait_s = 0.0
            if self.restarts > 1:
                wait_s = min(self.longest_wait_s, 0.5 * 2 ** min(self.restarts - 1, 7))
            self._again = now + wait_s
            assert self.process is not None
            status = self.process.returncode
            log.error(CHILD_DIED, child=self.name, status=status, wait_s=wait_s)
            self.died(status)
        if now >= self._again:
            self.spawn()

    def _is_late(self) -> bool:
        return time.monotonic() - self._started > _START_S

    def _hear(self) -> bool | None:
        """Return whether it serves: None as long as it has said nothing."""
        if self._ready < 0:
            return True
        try:
            said = os.read(self._ready, len(_READY))
        except BlockingIOError:
            return None
        self._forget_pipe()
        if said == _READY:
            assert self.process is not None
            log.info(CHILD_STARTED, child=self.name, pid=self.process.pid)
        return said == _READY

    def _forget_pipe(self) -> None:
        if self._ready >= 0:
            os.close(self._ready)
            self._ready = -1

    def _end(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self._forget_pipe()

    def _ended(self) -> int:
        """Return the status of a child that has given up, or make it."""
        assert self.process is not None
        try:
            return self.process.wait(_GIVING_UP_S)
        except subprocess.TimeoutExpired:
            self._end()
            return self.process.returncode

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self.process is not None and self.process.poll() is None

    def ask(self) -> None:
        """Ask the child to end, and do not wait."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)

    def stop(self, *, within_s: float) -> None:
        """Ask the child to end; end it when it does not within *within_s*."""
        self._forget_pipe()
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(within_s)
        except subprocess.TimeoutExpired:
            self._end()
            log.warning(CHILD_KILLED, child=self.name, within_s=within_s)
            self.died(self.process.returncode)


def say_ready(descriptor: int | None) -> None:
    """Tell the parent that this process serves (nothing to do without one)."""
    if descriptor is not None:
        os.write(descriptor, _READY)
        os.close(descriptor)


def read_piped(descriptor: int) -> SecretBytes:
    """Read a secret that the parent piped in."""
    with os.fdopen(descriptor, "rb") as pipe:
        return SecretBytes(pipe.read(1 << 16))


def _piped(secret: SecretBytes) -> int:
    read, write = os.pipe()
    # A pipe holds 64 KiB: a passphrase fits without a reader.
    os.write(write, secret.reveal())
    os.close(write)
    return read
