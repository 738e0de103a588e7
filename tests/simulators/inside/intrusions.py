"""What an intruder would try from inside a process, and how it ended.

Guarantees: an intrusion that works undoes what it did.

Left to others: getting here (`sitecustomize` beside this file), what is expected
(tests/system/test_confinement.py).
"""

import ctypes
import json
import os
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from vault.audit.entry import Action, Draft
from vault.core.errors import VaultError
from vault.core.flow import Actor, ActorKind, Caller, Purpose, SessionChange
from vault.core.ids import RecordingId
from vault.serving.tap_door import change_call
from vault.trust.client import WardenClient
from vault.trust.trail import TrailThroughWarden

_ORDERS: Final = Path(__file__).with_name("orders.json")
_PR_GET_DUMPABLE: Final = 3
_PTRACE_SEIZE: Final = 0x4206
OFFICER: Final = Caller(actor=Actor(kind=ActorKind.USER, id="u1"))
OPERATOR: Final = Caller(actor=Actor(kind=ActorKind.OPERATOR, id="0"))
PROCESS: Final = Caller(actor=Actor(kind=ActorKind.PROCESS, id="intruder"))


def _release(caller: Caller, purpose: Purpose) -> Callable[[WardenClient, str], Any]:
    return lambda client, recording: client.release(
        RecordingId(recording), caller=caller, purpose=purpose
    )


def _forged(client: WardenClient, recording: str) -> None:
    client.append(
        Draft(
            action=Action.RECORDING_KEY_RELEASED,
            caller=OFFICER,
            recording=RecordingId(recording),
        )
    )


def _claimed(client: WardenClient, _: str) -> None:
    """Write a leaf in the name of an operator: `via` tells who it was."""
    client.append(Draft(action=Action.RECORDING_LISTED, caller=OPERATOR))


def _unknown(client: WardenClient, _: str) -> None:
    until = time.monotonic() + 5
    client._linked(until).ask(_Unwrap(), deadline=until)  # type: ignore[arg-type]


class _Unwrap:
    call = "unwrap"

    def members(self) -> Mapping[str, str]:
        return {}


_REQUESTS: Final[Mapping[str, Callable[[WardenClient, str], Any]]] = {
    "play": _release(OFFICER, Purpose.PLAY),
    "recover": _release(OPERATOR, Purpose.RECOVER),
    "render": _release(PROCESS, Purpose.RENDER),
    "as an operator": _release(OPERATOR, Purpose.EXPORT),
    "forged leaf": _forged,
    "claimed leaf": _claimed,
    "trail": lambda client, _: TrailThroughWarden(client).newest(1),
    "rows": lambda client, recording: client.open_rows(
        OFFICER, [RecordingId(recording)]
    ),
    "unknown call": _unknown,
}


def ask(client: WardenClient, asked: str, recording: str) -> str:
    """Ask, and return ``got it`` or the class of the refusal."""
    try:
        _REQUESTS[asked](client, recording)
    except VaultError as exc:
        return type(exc).__name__
    return "got it"


def _read(path: str) -> str:
    with Path(path).open("rb") as file:
        file.read(1 << 16)
    return "read it"


def _write(path: str) -> str:
    os.close(os.open(path, os.O_WRONLY))
    return "opened for writing"


def _make(path: str) -> str:
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    Path(path).unlink()
    return "made a file"


def _move(path: str, to: str) -> str:
    Path(path).rename(to)
    Path(to).rename(path)
    return "moved a file there and back"


def _forge(path: str) -> str:
    connection = sqlite3.connect(path, timeout=5, isolation_level=None)
    try:
        connection.execute("UPDATE log_probe SET time_ns = time_ns")
    finally:
        connection.close()
    return "wrote into the audit database"


def _memory(pid: int) -> str:
    with Path(f"/proc/{pid}/mem").open("rb"):
        return "opened its memory"


def _trace(pid: int) -> str:
    # In a child, which has the same rights: a tracer that ends lets go.
    child = os.fork()
    if child == 0:
        libc = ctypes.CDLL(None, use_errno=True)
        libc.ptrace.argtypes = [ctypes.c_long] * 4
        refused = libc.ptrace(_PTRACE_SEIZE, pid, 0, 0) != 0
        os._exit(ctypes.get_errno() if refused else 0)
    number = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if number:
        raise OSError(number, "ptrace")
    return "traced it"


def _signal(pid: int) -> str:
    os.kill(pid, 0)
    return "may signal it"


def _run(program: str) -> str:
    subprocess.run([program], check=True)
    return "ran it"


def _listen(port: int) -> str:
    socket.create_server(("127.0.0.1", port)).close()
    return "listens"


def _connect(port: int) -> str:
    socket.create_connection(("127.0.0.1", port), timeout=5).close()
    return "connected"


def _status() -> str:
    libc = ctypes.CDLL(None)
    status = Path("/proc/self/status").read_text()
    told = [line for line in status.splitlines() if line.startswith("NoNewPrivs")]
    return f"dumpable {libc.prctl(_PR_GET_DUMPABLE, 0, 0, 0, 0)}, {told[0].split()[1]}"


def _door() -> WardenClient:
    door = int(sys.argv[sys.argv.index("--door-fd") + 1])
    return WardenClient.through(socket.socket(fileno=os.dup(door)))


def _ask(asked: str, recording: str) -> str:
    """Ask the warden over this process's own door for what it may not have."""
    with _door() as client:
        return ask(client, asked, recording)


def _operate(path: str, proof: str, recording: str) -> str:
    """Be the operator at the warden's socket."""

    with WardenClient.at(Path(path), proof=Path(proof)) as client:
        return ask(client, "as an operator", recording)


def _pause(path: str, recording: str, proof: str) -> str:
    """Be the operator at the tap's door."""

    change = SessionChange(paused=True, resume_after_s=None)
    change_call(Path(path), RecordingId(recording), change, proof=Path(proof))
    return "paused"


_PROBES: Final[Mapping[str, Callable[..., str]]] = {
    "ask": _ask,
    "connect": _connect,
    "forge": _forge,
    "listen": _listen,
    "make": _make,
    "memory": _memory,
    "move": _move,
    "operate": _operate,
    "pause": _pause,
    "read": _read,
    "run": _run,
    "signal": _signal,
    "status": _status,
    "trace": _trace,
    "write": _write,
}


def obey() -> None:
    """Try everything in the orders; say how it ended in one line of JSON."""
    found: dict[str, str] = {}
    for name, probe, *words in json.loads(_ORDERS.read_text()):
        try:
            found[name] = _PROBES[probe](*words)
        except Exception as exc:  # noqa: BLE001 - how it failed is what is asked
            number = getattr(exc, "errno", None)
            found[name] = os.strerror(number) if number else type(exc).__name__
    line = json.dumps({"inside": os.getpid(), "found": found})
    os.write(2, f"{line}\n".encode())
