"""The tap's door for operators: commands on this machine pause and resume calls.

One request per connection over a Unix socket in the tap's private folder, each one
line of JSON of at most 4 KiB:

    {"recording": "<uuid>", "paused": true, "resume_after_s": 60.0 | null}
    {"state": "paused", "resumes_in_s": 60.0 | null}    or    {"error": "…", "type": …}

Guarantees: only this user and root are answered, as the kernel says who asks
(SO_PEERCRED), and no confined process of this user (`vault.process.show_file`); the
leaf names them.  Whoever connects and says nothing is cut after
five seconds.

Left to others: what a pause is (`vault.recorder.matching`).

Spec: unix(7)
"""

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import structlog

from vault.core.errors import (
    ConfigurationError,
    InvalidInputError,
    NotFoundError,
    UnavailableError,
    VaultError,
)
from vault.core.flow import Actor, ActorKind, Caller, SessionChange, SessionStatus
from vault.core.ids import RecordingId, parse_recording_id
from vault.process import peer_credentials, show_file, was_shown
from vault.recorder.matching import Integrations
from vault.tap.meeting import private_folder, short_path

REFUSED: Final = "tap.door.refused"
_NAME: Final = "door.sock"
_BACKLOG: Final = 8
_MOST_OCTETS: Final = 4096
_TIMEOUT_S: Final = 5.0
_ANSWER_S: Final = 30.0
_LONGEST_PAUSE_S: Final = 86_400
_log = structlog.get_logger()


def door_of(folder: Path) -> Path:
    """Return where the tap of an installation in *folder* answers."""
    return folder / "run" / "tap" / _NAME


@contextlib.asynccontextmanager
async def answering(
    path: Path, calls: Integrations, *, proof: Path | None = None
) -> AsyncIterator[None]:
    """Answer at *path* while the block runs.

    Args:
        path: Where.
        calls: What is paused and resumed.
        proof: A file that a peer of our own uid has to show that it may open: other
            processes of `serve` have that uid, too, and are no operators.

    Raises:
        ConfigurationError: The folder is not private, or nobody can listen there.
    """
    private_folder(path.parent)

    listener = _listener(path)
    accepting = asyncio.create_task(_accept(listener, calls, proof))
    try:
        yield
    finally:
        accepting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await accepting
        _leave(listener, path)


def change_call(
    path: Path,
    recording_id: RecordingId,
    change: SessionChange,
    *,
    proof: Path | None = None,
) -> SessionStatus:
    """Ask the tap that answers at *path* to pause or resume a call.

    Args:
        path: Where it answers.
        recording_id: Which call.
        change: To what.
        proof: See `answering`.

    Raises:
        UnavailableError: No tap answers there.
        NotFoundError: It records no such call now.
    """
    request = {
        "recording": recording_id,
        "paused": change.paused,
        "resume_after_s": change.resume_after_s,
    }
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as end:
        end.settimeout(_ANSWER_S)
        try:
            with short_path(path) as address:
                end.connect(address)
            if proof is not None:
                show_file(end, proof)
            end.sendall(json.dumps(request).encode() + b"\n")
            said = json.loads(end.makefile("rb").readline(_MOST_OCTETS))
        except (OSError, ValueError):
            raise UnavailableError(
                "no tap of this installation answers: is callvault serve running, "
                "and are you its user?"
            ) from None
    if "error" in said:
        wrong = NotFoundError if said["type"] == "NotFoundError" else UnavailableError
        raise wrong(str(said["error"]))
    return SessionStatus(
        recording_id=recording_id,
        state=str(said["state"]),
        reason=None,
        streams=(),
        resumes_in_s=said["resumes_in_s"],
    )


async def _accept(
    listener: socket.socket, calls: Integrations, proof: Path | None
) -> None:
    # Not asyncio's own server: it reads at once, and a descriptor would be lost.
    listener.setblocking(False)
    loop, tasks = asyncio.get_running_loop(), set[asyncio.Task[None]]()
    try:
        while True:
            peer, _ = await loop.sock_accept(listener)
            task = asyncio.create_task(_serve(peer, calls, proof))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
    finally:
        for task in tasks:
            task.cancel()


async def _serve(peer: socket.socket, calls: Integrations, proof: Path | None) -> None:
    with peer, contextlib.suppress(OSError, TimeoutError, ValueError):
        # Suppressed: whoever asked is gone, or never said what it wants.
        async with asyncio.timeout(_TIMEOUT_S):
            _, uid = peer_credentials(peer)
            proven = proof is None or await _proves(peer, proof)
        # Root proves it, too, but needs not: it is none of our processes.
        allowed = uid == 0 != os.geteuid() or (uid == os.geteuid() and proven)
        reader, writer = await asyncio.open_unix_connection(
            sock=peer, limit=_MOST_OCTETS
        )
        try:
            said = await _answer(reader, uid, calls, allowed=allowed)
            writer.write(json.dumps(said).encode() + b"\n")
            async with asyncio.timeout(_TIMEOUT_S):
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        finally:
            writer.transport.abort()


async def _proves(peer: socket.socket, proof: Path) -> bool:
    loop, ready = asyncio.get_running_loop(), asyncio.Event()
    peer.setblocking(False)
    loop.add_reader(peer, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(peer)
    return was_shown(peer, proof)


async def _answer(
    reader: asyncio.StreamReader, uid: int, calls: Integrations, *, allowed: bool
) -> dict[str, object]:
    # 1. Who asks, before anything is read.
    if not allowed:
        _log.warning(REFUSED, uid=uid)
        return _refusal(InvalidInputError("only the user of the tap, and root"))
    # 2. What for.
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            line = await reader.readline()
        recording_id, change = _request(line)
        by = Caller(actor=Actor(kind=ActorKind.OPERATOR, id=str(uid)))
        status = await calls.change(recording_id, change, by)
    except VaultError as exc:
        return _refusal(exc)
    return {"state": status.state, "resumes_in_s": status.resumes_in_s}


def _request(line: bytes) -> tuple[RecordingId, SessionChange]:
    said = json.loads(line)
    if not isinstance(said, dict) or not isinstance(said.get("paused"), bool):
        raise InvalidInputError("no request to pause or resume a call")
    after_s = said.get("resume_after_s")
    if after_s is not None and not (
        isinstance(after_s, int | float) and 0 < after_s <= _LONGEST_PAUSE_S
    ):
        raise InvalidInputError("no time to resume after")
    change = SessionChange(paused=said["paused"], resume_after_s=after_s)
    return parse_recording_id(str(said.get("recording"))), change


def _refusal(exc: VaultError) -> dict[str, object]:
    return {"error": str(exc), "type": type(exc).__name__}


def _leave(listener: socket.socket, path: Path) -> None:
    listener.close()
    path.unlink(missing_ok=True)


def _listener(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)  # of a tap that was killed; the spool has one lock
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with short_path(path) as address:
            listener.bind(address)
        path.chmod(0o600)
        listener.listen(_BACKLOG)
    except OSError as exc:
        listener.close()
        raise ConfigurationError(f"nobody can listen at {path}") from exc
    return listener
