"""One child process and how it is kept alive.

Guarantees: a child inherits exactly the descriptors it was given; a secret reaches
it through a pipe and never through its arguments or environment; a child that dies
is started again, later each time, until it has run for a minute.
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

_READY: Final = b"ready"
_LONGEST_WAIT_S: Final = 30.0
_SETTLED_S: Final = 60.0

log = structlog.get_logger()


@dataclass(slots=True, kw_only=True)
class Child:
    """A process of the installation, restarted when it dies."""

    name: str
    arguments: Callable[[], Sequence[str]]
    "Called at every start: descriptors may differ."
    descriptors: Callable[[], Sequence[int]] = field(default=lambda: ())
    passphrase: SecretBytes | None = field(default=None, repr=False)
    restarts: int = 0
    process: subprocess.Popen[bytes] | None = None
    _started: float = 0.0
    _ready: int = -1
    _not_before: float = 0.0

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
        inherited = [ready_write, *self.descriptors()]
        command = [sys.executable, "-m", "vault", *self.arguments()]
        command += ["--ready-fd", str(ready_write)]
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
        self._started = time.monotonic()

    def await_ready(self, *, within_s: float = 60.0) -> None:
        """Wait until the child says that it is ready.

        Raises:
            UnavailableError: It ended or stayed silent; its own message is on
                standard error.
        """
        assert self.process is not None
        _await_ready(self.name, self._ready, self.process, within_s)
        log.info(CHILD_STARTED, child=self.name, pid=self.process.pid)

    def keep_alive(self) -> None:
        """Start the child again if it died and its waiting time is over."""
        if self.process is None or self.process.poll() is None:
            return
        now = time.monotonic()
        if self._not_before <= self._started:
            settled = now - self._started > _SETTLED_S
            self.restarts = 1 if settled else self.restarts + 1
            wait = min(_LONGEST_WAIT_S, 0.5 * 2 ** min(self.restarts, 7))
            self._not_before = now + wait
            log.error(
                CHILD_DIED, child=self.name, status=self.process.returncode, wait_s=wait
            )
        if now >= self._not_before:
            try:
                self.start()
            except UnavailableError:
                self._not_before = 0.0

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self.process is not None and self.process.poll() is None

    def stop(self, *, within_s: float) -> None:
        """Ask the child to end; end it when it does not within *within_s*."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(within_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


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


def _await_ready(
    name: str, descriptor: int, process: subprocess.Popen[bytes], within_s: float
) -> None:
    os.set_blocking(descriptor, False)
    deadline = time.monotonic() + within_s
    try:
        while time.monotonic() < deadline:
            try:
                said = os.read(descriptor, len(_READY))
            except BlockingIOError:
                time.sleep(0.02)
                continue
            if said == _READY:
                return
            process.wait()
            raise UnavailableError(
                f"{name} could not start (status {process.returncode})"
            )
        process.kill()
        raise UnavailableError(f"{name} was not ready within {within_s:.0f} s")
    finally:
        os.close(descriptor)
