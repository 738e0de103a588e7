"""What a tap knows of the world without asking it: devices, workgroups, roster.

A thread reads all of it every two seconds and keeps a copy in a file, so that a
tap starts and records while the database is away.  A device that was revoked, or
what one is no longer allowed, is refused within seconds.

Guarantees:
    * `identify`, `workgroup`, `agent`, `recipients` and what SIP asks touch neither
      disk nor network.
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
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import structlog

from vault.access.address_rules import AddressRule, Listener, lists_of
from vault.access.devices import DeviceListed
from vault.access.extensions import Extension, ExtensionTable
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
from vault.core.flow import Device
from vault.core.ids import DeviceId, UserId, WorkgroupId
from vault.core.prefixes import AddressLists
from vault.recorder.known import Known, known_members, parse_known
from vault.recorder.sip_devices import SipDirectory
from vault.sealing.envelope import Recipient
from vault.sealing.roster import Roster, keys_are_late, recipients_for, verify_roster
from vault.siprec.interfaces import DigestSecret
from vault.spool.descriptors import write_durably

STALE: Final = "snapshot.directory.stale"
ROSTER_REFUSED: Final = "snapshot.roster.refused"
ROSTER_LATE: Final = "snapshot.roster.late"
LOOK_AGAIN_S: Final = 1.0
_NOBODY_SPEAKS: Final = SipDirectory()
_TELL_EVERY_NS: Final = 60 * NS_PER_S
_USABLE_NS: Final = 72 * 3600 * NS_PER_S
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotSources:
    """Where the view comes from."""

    devices: Callable[[], tuple[DeviceListed, ...]]
    "`Devices.for_taps`; raises `UnavailableError` while the database is away."
    people: Callable[[], WorkgroupSnapshot]
    extensions: Callable[[], tuple[Extension, ...]]
    "`Extensions.list`."
    address_rules: Callable[[], tuple[AddressRule, ...]]
    "`AddressRules.list`."
    note_uses: Callable[[Mapping[DeviceId, int]], None]
    "`Devices.note_uses`; called by the thread that reads, and never for a call."
    roster_path: Path
    roster_key_path: Path
    "Pinned verifier of the roster: 32 raw octets, or base64 of them."
    keep_path: Path
    "Where the copy is kept."


class SnapshotKeeper:
    """Implements `DeviceDirectory`, `SipDevices`, `People` and `RecipientKeys`."""

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
        self._sip = SipDirectory(self._known.devices)
        self._extensions = ExtensionTable(self._known.extensions)
        self._fences = _fences(self._known.address_rules)
        self._roster_octets = b""
        self._late_month = ""
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._reading = threading.Lock()
        self._looked_s = -LOOK_AGAIN_S
        self._heard_ns: dict[DeviceId, int] = {}
        "When each device was last heard: written by whoever hears it."
        self._told_ns: dict[DeviceId, int] = {}
        "The same as the database has it, as far as this process told it."

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
        """Return the device with this token, unless that was revoked or has ended."""
        if self._is_too_old:
            return None
        found: Device | None = None
        now_ns = self._clock()
        # All of them, whether found or not: the time says nothing.
        for listed in self._known.devices:
            same = hmac.compare_digest(listed.token_sha256, token_sha256)
            if same and listed.has_token_at(now_ns):
                found = listed.device
        if found is not None:
            self.note_use(found)
        return found

    def note_use(self, device: Device) -> None:
        """Note that *device* was heard just now; the database learns of it later."""
        self._heard_ns[device.id] = self._clock()

    def by_certificate(self, sha256: bytes) -> Device | None:
        """Return the device that has pinned this certificate."""
        return self._speakers.by_certificate(sha256)

    def by_address(self, address: str) -> Device | None:
        """Return the one device that may be known by *address*."""
        return self._speakers.by_address(address)

    def expects(self, address: str) -> bool:
        """Whether *address* is in the list of some device."""
        return self._speakers.expects(address)

    def digest_algorithms(self, address: str) -> tuple[str, ...]:
        """Return what a peer at *address* is challenged with, best first."""
        return self._speakers.digest_algorithms(address)

    def digest_secret(self, username: str, algorithm: str) -> DigestSecret | None:
        """Return how to check *username*; None for one that is unknown."""
        return self._speakers.digest_secret(username, algorithm, now_ns=self._clock())

    def limits_of(self, device: Device) -> Device | None:
        """Return *device* as it stands now; None once it was revoked."""
        return self._speakers.limits_of(device)

    def address_lists(self, listener: str) -> AddressLists:
        """Return who may reach *listener* at all, by the rules of administrators.

        A copy that is too old still says so: it shuts out, and lets nobody in.
        """
        return self._fences[listener]

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

    def extension(self, address: str) -> Extension | None:
        """Return the entry of the table of extensions for *address*."""
        return self._extensions.match(address)

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
            extensions = self._sources.extensions()
            address_rules = self._sources.address_rules()
        except VaultError as exc:
            _log.warning(STALE, problem=type(exc).__name__)
        else:
            known = replace(
                known,
                devices=devices,
                people=people,
                extensions=extensions,
                address_rules=address_rules,
                taken_ns=self._clock(),
            )
        # Compared as they are: writing out a large table every time costs a core.
        if replace(known, taken_ns=0, roster=None) != replace(
            self._known, taken_ns=0, roster=None
        ):
            self._keep(known)
        if known.extensions != self._extensions.extensions:
            self._extensions = ExtensionTable(known.extensions)
        if known.address_rules != self._known.address_rules:
            self._fences = _fences(known.address_rules)
        if known.devices != self._sip.devices:
            self._sip = SipDirectory(known.devices)
        self._known = known

    @property
    def _speakers(self) -> SipDirectory:
        return _NOBODY_SPEAKS if self._is_too_old else self._sip

    @property
    def _is_too_old(self) -> bool:
        return self._clock() - self._known.taken_ns > _USABLE_NS

    def _run(self) -> None:
        kept_s = time.monotonic()
        while not self._stopping.wait(self._interval_s):
            self.refresh()
            self.tell_uses()
            # The copy's age matters after a restart: renew it now and then.
            if time.monotonic() - kept_s > 60:  # noqa: PLR2004 - once a minute
                self._keep(self._known)
                kept_s = time.monotonic()

    def tell_uses(self) -> None:
        """Tell the database which devices were heard, once a minute and device."""
        news = {
            device_id: heard_ns
            for device_id, heard_ns in list(self._heard_ns.items())
            if heard_ns - self._told_ns.get(device_id, 0) >= _TELL_EVERY_NS
        }
        if not news:
            return
        try:
            self._sources.note_uses(news)
        except VaultError as exc:
            # It is told again once the database is back.
            _log.warning(STALE, problem=type(exc).__name__)
            return
        self._told_ns.update(news)

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
            {**known_members(known), "taken": str(known.taken_ns)},
        )
        try:
            write_durably(path.parent, path.name, members, replace=True)
        except OSError as exc:
            _log.warning(STALE, problem=type(exc).__name__)

    def _kept(self) -> Known:
        try:
            return parse_known(canonical.parse(self._sources.keep_path.read_bytes()))
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


def _fences(rules: tuple[AddressRule, ...]) -> Mapping[str, AddressLists]:
    return {listener: lists_of(rules, listener) for listener in Listener}
