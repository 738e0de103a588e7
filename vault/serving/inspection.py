"""What ``doctor`` looks at: the machine first, then the installation.

Guarantees: looking changes nothing; where there is a keyring here, its passphrase
is tried, because a wrong one shows at the next start and not before.
"""

import os
import resource
import shutil
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from vault import process
from vault.config import Settings, passphrase
from vault.core.errors import VaultError
from vault.serving.standing_words import lines_of
from vault.serving.tap_status import TapStatus, read_status
from vault.web.anchors import Tone
from vault.wiring import Installation

_BUFFER_BYTES: Final = 512 * 1024
_VIDEO_BUFFER_BYTES: Final = 4 * 1024 * 1024
_RESERVE: Final = 200
_RESERVED: Final = Path("/proc/sys/net/ipv4/ip_local_reserved_ports")
_EPHEMERAL: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")


_Level = Literal["ok", "warning", "error"]
_LEVELS: Final[Mapping[Tone, _Level]] = {
    Tone.BAD: "error",
    Tone.WARN: "warning",
    Tone.OK: "ok",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    level: _Level
    text: str


def inspect(installation: Installation) -> Sequence[Finding]:
    """Look at everything, cheapest first."""
    settings = installation.settings
    findings = [*_machine(settings), *_disk(settings)]
    if installation.keyring_path.is_file():
        findings += [*_parts(installation), _warden(installation), *_tap(installation)]
        findings += _auditor(installation)
    else:
        findings.append(
            Finding(
                level="warning",
                text=f"{installation.folder} holds no installation: callvault init",
            )
        )
    return findings


def _machine(settings: Settings) -> Iterator[Finding]:
    # What readiness says of processes that run: the same function in the same words.
    gaps = process.harden()
    for gap in gaps:
        yield Finding(level="warning", text=gap)
    if process.MAY_BE_SWAPPED not in gaps:
        yield Finding(level="ok", text="memory is locked, or there is no swap")
    rmem_max = int(Path("/proc/sys/net/core/rmem_max").read_text())
    # The kernel doubles what is asked for, and caps it before.
    if _BUFFER_BYTES <= rmem_max < _VIDEO_BUFFER_BYTES // 2:
        yield Finding(
            level="warning",
            text=f"net.core.rmem_max is {rmem_max}: a screen's key frame may not fit "
            f"(sysctl -w net.core.rmem_max={_VIDEO_BUFFER_BYTES})",
        )
    if rmem_max < _BUFFER_BYTES:
        yield Finding(
            level="warning",
            text=f"net.core.rmem_max is {rmem_max}: media buffers are smaller than 5 s "
            f"of audio (sysctl -w net.core.rmem_max={_VIDEO_BUFFER_BYTES})",
        )
    # What a process may have if it asks for it, as the tap does.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    low, high = settings.media_port_range
    by_ports = (high - low + 1) // 4
    # Two parties: four sockets, four ports, a file and a page.
    calls = min(max(0, hard - _RESERVE) // 6, by_ports)
    yield Finding(
        level="ok" if calls == by_ports else "warning",
        text=f"{hard} descriptors per process and {high - low + 1} media ports: room "
        f"for about {calls} calls of two parties"
        + ("" if calls == by_ports else " (raise LimitNOFILE, or ulimit -Hn)"),
    )
    yield from _clock()
    first, last = (int(part) for part in _EPHEMERAL.read_text().split())
    if low <= last and first <= high and not _RESERVED.read_text().strip():
        yield Finding(
            level="warning",
            text=f"media ports {low}-{high} overlap with the ephemeral ports "
            f"{first}-{last}: set net.ipv4.ip_local_reserved_ports={low}-{high}",
        )
    for name in ("media_listen", "media_advertise"):
        address = getattr(settings, name)
        if name == "media_listen" and not _is_ours(address):
            yield Finding(
                level="error", text=f"{name} {address} is not of this machine"
            )


def _clock() -> Iterator[Finding]:
    try:
        synchronised, error_s = process.clock_state()
    except OSError:
        return
    if synchronised:
        yield Finding(
            level="ok", text=f"the clock is synchronised, to within {error_s:.3f} s"
        )
    else:
        yield Finding(
            level="warning",
            text="the kernel does not know the clock to be synchronised: calls are "
            "dated by it (run chrony, or systemd-timesyncd)",
        )


def _tap(installation: Installation) -> Iterator[Finding]:
    status = read_status(installation.tap_status_path)
    if status is None or not status.is_alive:
        yield Finding(level="warning", text="no tap is running")
        return
    reason, text = status.trouble
    if reason:
        yield Finding(level="error", text=f"the tap takes no calls: {text}")
    yield from _sip(status.part("sip"))
    workers = status.workers()
    wanted = round(status.number("workers_wanted"))
    streams = round(sum(worker.get("streams", 0.0) for worker in workers))
    most = round(status.number("streams_per_worker")) * len(workers)
    late_s = max((worker.get("late_s", 0.0) for worker in workers), default=0.0)
    yield Finding(
        level="ok" if len(workers) >= wanted else "error",
        text=f"{len(workers)} of {wanted} media workers, {streams} of {most} streams, "
        f"{late_s:.1f} s behind at most",
    )
    if status.members.get("store_kept") is None:
        yield Finding(
            level="warning",
            text="no descriptor store: a call survives the tap or its media worker, "
            "but not the death of both (run it under systemd or callvault serve)",
        )
    else:
        kept = round(status.number("store_kept"))
        yield Finding(level="ok", text=f"a descriptor store keeps {kept} descriptors")


def _auditor(installation: Installation) -> Iterator[Finding]:
    for line in lines_of(installation.auditor_status_path):
        yield Finding(level=_LEVELS[line.tone], text=f"auditor: {line.text}")


def _sip(sip: TapStatus) -> Iterator[Finding]:
    problem, listeners = sip.word("problem"), sip.words("listeners")
    if problem:
        yield Finding(
            level="warning",
            text=f"SIP does not listen: {problem} (set sip_listen to another port, or "
            "to off)",
        )
    elif listeners:
        yield Finding(level="ok", text=f"SIP listens on {', '.join(listeners)}")


def _is_ours(address: str) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True


def _disk(settings: Settings) -> Iterator[Finding]:
    folder = settings.spool_folder
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    enough = free > settings.spool_reserve_bytes
    yield Finding(
        level="ok" if enough else "error",
        text=f"{free >> 20} MiB free for the spool, of which "
        f"{settings.spool_reserve_bytes >> 20} MiB are kept in reserve",
    )
    data = settings.data_dir
    if data.exists() and data.stat().st_mode & 0o077:
        yield Finding(
            level="error", text=f"{data} is open to others: chmod 0700 {data}"
        )
    if data.exists() and data.stat().st_uid != os.geteuid():
        yield Finding(level="error", text=f"{data} belongs to another user")


def _parts(installation: Installation) -> Iterator[Finding]:
    for name, check in (
        ("passphrase", lambda: installation.unlock(passphrase(installation.settings))),
        ("catalog database", lambda: installation.catalog.connect().close()),
        ("audit database", lambda: installation.audit.connect().close()),
        ("object store", lambda: installation.stores.media.check()),  # noqa: PLW0108 - opens the store inside the try
        ("roster", installation.roster),
    ):
        try:
            check()
        except VaultError as exc:
            yield Finding(level="error", text=f"{name}: {exc}")
        except Exception as exc:  # noqa: BLE001 - a doctor reports whatever it meets
            yield Finding(level="error", text=f"{name}: {type(exc).__name__}")
        else:
            yield Finding(level="ok", text=name)


def _warden(installation: Installation) -> Finding:
    with installation.warden_client(None) as client:
        health = client.health()
    if health.healthy:
        return Finding(level="ok", text=f"warden serves, {health.log_size} entries")
    return Finding(
        level="warning", text=f"callvault serve is not running ({health.detail})"
    )
