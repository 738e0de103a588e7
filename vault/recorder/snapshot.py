"""What a tap knows of the world without asking it: devices, workgroups, roster.

A thread reads all of it every two seconds and keeps a copy in a file, so that a
tap starts and records while the database is away.  A device that was revoked, or
what one is no longer allowed, is refused within seconds.

Guarantees:
    * `identify`, `workgroup`, `agent` and `recipients` touch neither disk nor
      network.
    * A roster that is not signed with the pinned key, or is older than one seen
      before (also before a restart), is not taken.
    * Without contact for longer than 72 h no device is known any more; calls
      that run go on.

Left to others: the tables (`vault.access`), the roster (`vault.warden`).
"""

import asyncio
import base64
import binascii
import hmac
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import structlog

from vault.access.devices import DeviceListed
from vault.access.workgroups import DEFAULT_WORKGROUP, WorkgroupSnapshot
from vault.core import canonical
from vault.core.clock import NS_PER_S, Clock, system_clock_ns
from vault.core.errors import (
    ConfigurationError,
    InvalidInputError,
    NoRecipientKeyError,
    SealBrokenError,
    VaultError,
)
from vault.core.flow import Allowance, Device
from vault.core.ids import DeviceId, UserId, WorkgroupId
from vault.sealing.envelope import Recipient
from vault.sealing.roster import Roster, keys_are_late, recipients_for, verify_roster
from vault.spool.descriptors import write_durably

STALE: Final = "snapshot.directory.stale"
ROSTER_REFUSED: Final = "snapshot.roster.refused"
ROSTER_LATE: Final = "snapshot.roster.late"
LOOK_AGAIN_S: Final = 1.0
_NOBODY: Final = WorkgroupSnapshot(workgroups={}, agents={})
_USABLE_NS: Final = 72 * 3600 * NS_PER_S
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """One consistent view."""

    devices: tuple[DeviceListed, ...] = ()
    people: WorkgroupSnapshot = _NOBODY
    taken_ns: int = 0
    "When the database was last asked with success; 0 for never."
    roster: Roster | None = None
    roster_version: int = 0
    "The highest seen, also by processes before this one."


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotSources:
    """Where the view comes from."""

    devices: Callable[[], tuple[DeviceListed, ...]]
    "`Devices.list`; raises `UnavailableError` while the database is away."
    people: Callable[[], WorkgroupSnapshot]
    roster_path: Path
    roster_key_path: Path
    "Pinned verifier of the roster: 32 raw octets, or base64 of them."
    keep_path: Path
    "Where the copy is kept."


class SnapshotKeeper:
    """Implements `DeviceDirectory`, `People` and `RecipientKeys` from memory."""

    def __init__(
        self,
        sources: SnapshotSources,
        *,
        interval_s: float = 2.0,
        clock: Clock = system_clock_ns,
    ) -> None:
        self._sources = sources
        self._interval_s = interval_s
        self._clock = clock
        self._known = self._kept()
        self._roster_octets = b""
        self._late_month = ""
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._reading = threading.Lock()
        self._looked_s = -LOOK_AGAIN_S

    def start(self) -> None:
        """Read everything once, then again and again."""
        self.refresh()
        self._thread = threading.Thread(target=self._run, name="snapshot", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop reading."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    @property
    def age_s(self) -> float:
        """Seconds since the database answered; for metrics and readiness."""
        return (self._clock() - self._known.taken_ns) / NS_PER_S

    @property
    def taken_ns(self) -> int:
        """When the database last answered, also before a restart; 0 for never."""
        return self._known.taken_ns

    @property
    def roster(self) -> Roster | None:
        """The newest roster that verified."""
        return self._known.roster

    def identify(self, token_sha256: bytes) -> Device | None:
        """Return the device with this token, unless it was revoked."""
        known = self._known
        if self._clock() - known.taken_ns > _USABLE_NS:
            return None
        found: Device | None = None
        # All of them, whether found or not: the time says nothing.
        for listed in known.devices:
            same = hmac.compare_digest(listed.token_sha256, token_sha256)
            if same and not listed.revoked:
                found = listed.device
        return found

    def workgroup(self, name: str) -> tuple[WorkgroupId, bool]:
        """Return the workgroup of that name, or ``default`` and False.

        A call for which the PBX names none belongs to ``default``, too, and
        nothing about that is unknown.
        """
        if not name.strip():
            return DEFAULT_WORKGROUP, True
        found = self._known.people.workgroup(name)
        return (DEFAULT_WORKGROUP, False) if found is None else (found, True)

    def agent(self, name: str) -> UserId | None:
        """Return the user of that name."""
        return self._known.people.agent(name) if name.strip() else None

    def recipients(self, month: str) -> list[Recipient]:
        """Return whom a call of *month* is wrapped for.

        Raises:
            NoRecipientKeyError: No roster has been seen, or it is empty.
        """
        roster = self._known.roster
        if roster is None:
            raise NoRecipientKeyError("no roster with recipient keys is here")
        found = recipients_for(roster, month)
        if keys_are_late(roster, month) and self._late_month != month:
            self._late_month = month
            _log.error(ROSTER_LATE, month=month, version=roster.version)
        return found

    async def look_again(self) -> None:
        """Read everything for a token that is unknown: its device may be new.

        Once a second at most, whoever asks with whatever token, and for a second
        at most: a database that is away delays nobody for longer.
        """
        now_s = time.monotonic()
        if now_s - self._looked_s < LOOK_AGAIN_S:
            return
        self._looked_s = now_s
        reading = asyncio.create_task(asyncio.to_thread(self.refresh))
        await asyncio.wait({reading}, timeout=LOOK_AGAIN_S)

    def refresh(self) -> None:
        """Read everything once; what cannot be read stays as it was."""
        # One at a time: an older view must not take the place of a newer one,
        # or a revoked device would be back for a moment.
        with self._reading:
            self._read()

    def _read(self) -> None:
        known = self._with_roster(self._known)
        try:
            devices, people = self._sources.devices(), self._sources.people()
        except VaultError as exc:
            _log.warning(STALE, problem=type(exc).__name__)
        else:
            known = replace(
                known, devices=devices, people=people, taken_ns=self._clock()
            )
        if _spell(known) != _spell(self._known):
            self._keep(known)
        self._known = known

    def _run(self) -> None:
        kept_s = time.monotonic()
        while not self._stopping.wait(self._interval_s):
            self.refresh()
            # The copy's age matters after a restart: renew it now and then.
            if time.monotonic() - kept_s > 60:  # noqa: PLR2004 - once a minute
                self._keep(self._known)
                kept_s = time.monotonic()

    def _with_roster(self, known: Known) -> Known:
        try:
            octets = self._sources.roster_path.read_bytes()
            if octets == self._roster_octets and known.roster is not None:
                return known
            roster = verify_roster(
                octets,
                pinned=_pinned(self._sources.roster_key_path),
                at_least_version=known.roster_version,
                now=self._clock(),
            )
        except (OSError, SealBrokenError, ConfigurationError) as exc:
            _log.error(ROSTER_REFUSED, problem=f"{type(exc).__name__}: {exc}")
            return known
        self._roster_octets = octets
        return replace(known, roster=roster, roster_version=roster.version)

    def _keep(self, known: Known) -> None:
        path = self._sources.keep_path
        members = canonical.dumps(
            {**_members(known), "taken": str(known.taken_ns)},
        )
        try:
            write_durably(path.parent, path.name, members, replace=True)
        except OSError as exc:
            _log.warning(STALE, problem=type(exc).__name__)

    def _kept(self) -> Known:
        try:
            return _parse(canonical.parse(self._sources.keep_path.read_bytes()))
        except FileNotFoundError:
            return Known()
        except (InvalidInputError, OSError) as exc:
            _log.warning(STALE, problem=type(exc).__name__)
            return Known()


def _pinned(path: Path) -> bytes:
    octets = path.read_bytes()
    if len(octets) == 32:  # noqa: PLR2004 - a raw Ed25519 key
        return octets
    try:
        return base64.b64decode(octets.strip(), validate=True)
    except (binascii.Error, ValueError):
        raise ConfigurationError("the pinned roster key is none") from None


def _members(known: Known) -> canonical.JsonObject:
    return {
        "v": 1,
        "roster_version": known.roster_version,
        "devices": [
            {
                "id": listed.device.id,
                "name": listed.device.name,
                "media_advertise": listed.device.media_advertise,
                "allowances": sorted(listed.device.allowances),
                "token_sha256": listed.token_sha256.hex(),
                "revoked": listed.revoked,
            }
            for listed in known.devices
        ],
        "workgroups": dict(known.people.workgroups),
        "agents": dict(known.people.agents),
    }


def _spell(known: Known) -> bytes:
    return canonical.dumps(_members(known))


def _parse(members: canonical.JsonObject) -> Known:
    devices, groups = members.get("devices"), members.get("workgroups")
    agents, version = members.get("agents"), members.get("roster_version")
    if (
        members.get("v") != 1
        or not isinstance(devices, list)
        or not isinstance(groups, dict)
        or not isinstance(agents, dict)
        or not isinstance(version, int)
    ):
        raise InvalidInputError("not a snapshot of ours")
    try:
        return Known(
            devices=tuple(_device(each) for each in devices),
            people=WorkgroupSnapshot(
                workgroups={k: WorkgroupId(str(v)) for k, v in groups.items()},
                agents={k: UserId(str(v)) for k, v in agents.items()},
            ),
            taken_ns=int(str(members.get("taken"))),
            roster_version=version,
        )
    except ValueError:
        raise InvalidInputError("not a snapshot of ours") from None


def _device(members: object) -> DeviceListed:
    if not isinstance(members, dict):
        raise InvalidInputError("not a snapshot of ours")
    advertise = members.get("media_advertise")
    # Absent from the copy of an older version: nothing is allowed then.
    allowances = members.get("allowances", [])
    if not isinstance(allowances, list):
        raise InvalidInputError("not a snapshot of ours")
    return DeviceListed(
        device=Device(
            id=DeviceId(str(members.get("id"))),
            name=str(members.get("name")),
            media_advertise=None if advertise is None else str(advertise),
            allowances=Allowance.known_among(map(str, allowances)),
        ),
        token_sha256=bytes.fromhex(str(members.get("token_sha256"))),
        revoked=members.get("revoked") is not False,
    )
