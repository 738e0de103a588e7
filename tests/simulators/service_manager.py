"""A service manager as systemd is to one unit: notify socket and descriptor store.

It does what systemd 252 does as far as a service can tell:

* messages count only if they come from the main process (``NotifyAccess=main``),
  judged by the credentials that the kernel attaches;
* stored descriptors keep their name; a duplicate (kcmp(2)) is closed; beyond
  ``FileDescriptorStoreMax`` they are closed; one on which epoll reports HUP or ERR is
  forgotten, unless it came with ``FDPOLL=0``;
* a start hands everything over from descriptor 3 on, in no order that was promised,
  with ``LISTEN_FDS``, ``LISTEN_FDNAMES`` and the ``LISTEN_PID`` of the main process,
  and keeps its own duplicates;
* the death of the main process kills the others at once with ``KillMode=mixed`` and
  leaves them alone with ``KillMode=process``.

Spec: sd_notify(3), systemd.service(5), systemd.kill(5); src/core/service.c
"""

import contextlib
import ctypes
import os
import random
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, Literal

from tests.simulators.waiting import wait_until

WITHIN_S: Final = 30.0
_FDS_PER_MESSAGE: Final = 253
_SYS_KCMP: Final = 312
_KCMP_FILE: Final = 0
_EXEC: Final = """
import fcntl, os, sys
count, *command = sys.argv[1:]
given = [fcntl.fcntl(int(fd), fcntl.F_DUPFD, 20_00) for fd in command[:int(count)]]
for number, fd in enumerate(given, start=3):
    os.dup2(fd, number, inheritable=True)
if given:
    os.environ["LISTEN_PID"] = str(os.getpid())
    os.environ["LISTEN_FDS"] = count
program = command[int(count):]
os.closerange(3 + len(given), 10_000)
os.execvpe(program[0], program, os.environ)
"""

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(slots=True)
class _Stored:
    name: str
    fd: int


class ServiceManager:
    """One unit of a service manager."""

    def __init__(
        self,
        folder: Path,
        *,
        most: int = 512,
        kill_mode: Literal["mixed", "process"] = "mixed",
    ) -> None:
        self.path = folder / "notify"
        self.said: list[str] = []
        "Every line that the main process has sent, but FDSTORE and its like."
        self.process: subprocess.Popen[bytes] | None = None
        self._most = most
        self._kill_mode = kill_mode
        self._stored: list[_Stored] = []
        self._lock = threading.Lock()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self.path))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._epoll = select.epoll()
        self._epoll.register(self._socket, select.EPOLLIN)
        self._stop_read, self._stop_write = os.pipe()
        self._epoll.register(self._stop_read, select.EPOLLIN)
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    # -- the unit ------------------------------------------------------------

    def start(
        self,
        *command: str,
        environment: Mapping[str, str],
        cwd: Path | None = None,
        log: IO[bytes] | None = None,
    ) -> "subprocess.Popen[bytes]":
        """Start the main process with everything that is stored."""
        self.said.clear()
        with self._lock:
            given = list(self._stored)
            random.shuffle(given)
            fds = [os.dup(one.fd) for one in given]
        surroundings = {**environment, "NOTIFY_SOCKET": str(self.path)}
        if given:
            surroundings["LISTEN_FDNAMES"] = ":".join(one.name for one in given)
        words = [sys.executable, "-I", "-c", _EXEC, str(len(fds)), *map(str, fds)]
        try:
            self.process = subprocess.Popen(
                [*words, *command],
                env=surroundings,
                cwd=cwd,
                pass_fds=fds,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        finally:
            for fd in fds:
                os.close(fd)
        return self.process

    def crash(self) -> None:
        """Kill the main process, and do to the others what the kill mode says."""
        assert self.process is not None
        others = _descendants(self.process.pid)
        self.process.kill()
        self.process.wait()
        if self._kill_mode == "mixed":
            for one in others:
                try:
                    os.kill(one, signal.SIGKILL)
                except ProcessLookupError:
                    continue

    def eventually(self, is_so: Callable[[], bool], what: str) -> None:
        """Wait until *is_so*."""
        wait_until(is_so, what, within_s=WITHIN_S)

    @property
    def names(self) -> Sequence[str]:
        """Names of what is stored, one for each descriptor."""
        with self._lock:
            return sorted(one.name for one in self._stored)

    def close(self) -> None:
        """Kill the unit and forget everything."""
        if self.process is not None and self.process.poll() is None:
            self._kill_mode = "mixed"
            self.crash()
        os.close(self._stop_write)
        self._thread.join()
        self._epoll.close()
        os.close(self._stop_read)
        self._socket.close()
        for one in self._stored:
            os.close(one.fd)
        self._stored.clear()

    # -- the notify socket -----------------------------------------------------

    def _listen(self) -> None:
        while True:
            for fd, _ in self._epoll.poll():
                if fd == self._stop_read:
                    return
                with self._lock:
                    if fd == self._socket.fileno():
                        self._receive()
                    else:
                        self._forget(lambda one, fd=fd: one.fd == fd)  # type: ignore[misc] # a lambda with a default

    def _receive(self) -> None:
        space = socket.CMSG_SPACE(12) + socket.CMSG_SPACE(4 * _FDS_PER_MESSAGE)
        message, control, _, _ = self._socket.recvmsg(4096, space)
        fds: list[int] = []
        sender = -1
        for _, kind, octets in control:
            if kind == socket.SCM_RIGHTS:
                fds += struct.unpack(f"={len(octets) // 4}i", octets)
            else:
                sender = struct.unpack("=3i", octets)[0]
        lines = message.decode().split("\n")
        if self.process is None or sender != self.process.pid:
            lines = []
        fields = dict(line.split("=", 1) for line in lines if "=" in line)
        if "FDSTORE" in fields:
            for fd in fds:
                self._store(fields.get("FDNAME", "stored"), fd, fields.get("FDPOLL"))
            return
        for fd in fds:
            os.close(fd)
        if "FDSTOREREMOVE" in fields:
            self._forget(lambda one: one.name == fields["FDNAME"])
        else:
            self.said += [line for line in lines if line]

    def _store(self, name: str, fd: int, poll: str | None) -> None:
        if len(self._stored) >= self._most or any(
            _same(fd, one.fd) for one in self._stored
        ):
            os.close(fd)
            return
        self._stored.append(_Stored(name, fd))
        if poll != "0":
            try:
                self._epoll.register(fd, 0)  # HUP and ERR are always reported
            except PermissionError:
                return  # a memfd has nothing to poll

    def _forget(self, which: Callable[[_Stored], bool]) -> None:
        for one in [one for one in self._stored if which(one)]:
            self._stored.remove(one)
            with contextlib.suppress(FileNotFoundError, PermissionError):
                self._epoll.unregister(one.fd)
            os.close(one.fd)


def _same(one: int, other: int) -> bool:
    here = os.getpid()
    return 0 == _libc.syscall(_SYS_KCMP, here, here, _KCMP_FILE, one, other)


def _descendants(pid: int) -> list[int]:
    """Return what the control group would hold besides the main process."""
    parents: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents.setdefault(int(fields[1]), []).append(int(folder.name))
    found, look = [], [pid]
    while look:
        below = parents.get(look.pop(), [])
        found += below
        look += below
    return found
