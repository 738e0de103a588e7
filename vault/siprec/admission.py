"""Who may speak: from a request and its peer to a device, or to how it is refused.

Every request but ACK passes here before anything is kept for it.  The steps of
`Admission.admit` decide trust in their order; each either says who it is, says no,
or leaves it to the next.

Guarantees:
    * Nobody is a device by what a header claims: only by a certificate that is
      pinned, a right answer to a challenge, or an address where that was allowed.
    * Nothing waits: devices, nonces and budgets are in memory, and all memory that
      strangers can fill is bounded.
    * Who guesses is not listened to for a while, and locks out nobody else: what
      is cut off is a name *from there*.
    * Refusals are counted by cause; log lines are few, whatever comes, and name
      devices and addresses, never people.

Left to others: which addresses an offer may name (`vault.sip.connection`), budgets
of addresses and their cut-off before anything is parsed, what a CANCEL or an ACK
belongs to (`vault.sip`), limits of calls (the desk).

Spec: RFC 3261, section 22; RFC 8760; docs/reference/sip.md, "Who may speak".
"""

import hmac
import secrets
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import structlog

from vault.core.budgets import Budget
from vault.core.flow import Allowance, Device
from vault.core.guesses import Guesses
from vault.core.ids import DeviceId
from vault.core.prefixes import LOOPBACK, AddressLists, Prefixes, network_of
from vault.core.secrets import SecretBytes
from vault.sip.digest import Challenger, DigestRefusedError, Flaw
from vault.sip.interfaces import Incoming
from vault.sip.messages import Response, respond
from vault.sip.peers import Peer, Transport
from vault.siprec.interfaces import DigestSecret, SipDevices
from vault.siprec.refusals import Cause, Refused

REFUSED: Final = "sip.refused"
_KEY_BYTES: Final = 32
_MAX_PROVEN: Final = 10_000
_LONGEST_NAME: Final = 64
_LINE_EVERY_S: Final = 60.0
_STRANGERS_LINES: Final = 60
"Lines a minute about all addresses together that no device is known at."
_log = structlog.get_logger()

_NAMES_FACTOR: Final = 10
"Wrong answers of one place, for all names together, per those for one of them."
_BYTES_PER_TOKEN: Final = 16 * 1024
"A body counts as one more request for each: metadata takes us 0.1 ms per KiB."
_FLOOD_CUT_S: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmissionConfig:
    """Who is listened to at all, and how much of each device."""

    allow: tuple[str, ...] = ()
    "Prefixes of addresses; none means all."

    deny: tuple[str, ...] = ()
    "Prefixes of addresses; these count more than *allow*."

    device_rate: float = 100.0
    """Requests per second of one device in the long run, wherever they come from; a
    body counts as one more for each 16 KiB."""

    device_burst: int = 400
    "Requests of one device that may come at once."

    nonce_lifetime_s: float = 300.0
    "How long a challenge may be answered."


class Admission:
    """Decides in microseconds; one for all listeners, used on the event loop."""

    def __init__(
        self,
        devices: SipDevices,
        config: AdmissionConfig,
        *,
        nonce_key: SecretBytes | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take who is known and what is allowed.

        Args:
            devices: In memory.
            config: Prefixes and rates.
            nonce_key: 32 random octets; None makes fresh ones, after which peers
                that go on with an older nonce are told ``stale=true``.
            clock: Monotonic seconds.

        Raises:
            InvalidInputError: A prefix is none.
        """
        key = nonce_key or SecretBytes(secrets.token_bytes(_KEY_BYTES))
        self._devices = devices
        self._clock = clock
        self._fence = AddressLists(
            allow=Prefixes.parse(config.allow), deny=Prefixes.parse(config.deny)
        )
        self._tag_key = SecretBytes(hmac.digest(key.reveal(), b"tag", "sha256"))
        self._challenger = Challenger(key, lifetime_s=config.nonce_lifetime_s)
        self._rates = Budget(
            rate=config.device_rate, burst=config.device_burst, cut_off_s=_FLOOD_CUT_S
        )
        self._guesses = Guesses()
        self._guessers = Guesses(times=_NAMES_FACTOR)
        self._lines = Budget(rate=1 / _LINE_EVERY_S, burst=1, cut_off_s=0)
        self._strangers_lines = Budget(
            rate=_STRANGERS_LINES / 60, burst=_STRANGERS_LINES, cut_off_s=0, max_keys=1
        )
        self._counts: Counter[Cause] = Counter()
        self._proven: OrderedDict[tuple[int, DeviceId], None] = OrderedDict()

    @property
    def counts(self) -> Mapping[Cause, int]:
        """Requests refused so far, by cause; challenges are among them."""
        return MappingProxyType(self._counts)

    def admit(
        self, incoming: Incoming, *, owner: Device | None = None
    ) -> Device | None:
        """Return who speaks.

        Call it once for each request: an answer to a challenge counts once.

        Args:
            incoming: The request; not ACK, which is never answered.
            owner: For a request inside a dialog: whose dialog it is.

        Returns:
            The device as it stands now.  None only for CANCEL, which cannot be
            challenged and proves itself by what it matches (RFC 3261, section
            22.1), and for OPTIONS outside a dialog from an address that some
            device lists: it learns whether we can record, and nothing else.

        Raises:
            Refused: With the response to send.
        """
        now_s, peer = self._clock(), incoming.peer
        # 1. Addresses that are listened to at all.
        fences = (self._fence, self._devices.address_lists("sip"))
        if not all(fence.admits(peer.address) for fence in fences):
            raise self._refused(incoming, 403, Cause.ADDRESS)
        if incoming.request.method == "CANCEL":
            return None
        # 2.-4. Who it is.
        device = self._identified(incoming, owner, now_s)
        if device is None:
            return None
        # 5.-6. Whether it may speak from there, and in the clear.
        self._check_way(incoming, device)
        # 7. A dialog belongs to one device; to others it does not exist.
        if owner is not None and owner.id != device.id:
            raise self._refused(incoming, 481, Cause.OTHER_DEVICE, device=device)
        # 8. How much of it.  What belongs to a call that runs has a budget of its
        #    own: a flood of new calls keeps no BYE away.
        part = "calls" if owner is None else "dialogs"
        cost = 1 + len(incoming.request.body) // _BYTES_PER_TOKEN
        if not self._rates.spend(f"{device.id} {part}", now_s, cost=cost):
            raise self._refused(
                incoming, 503, Cause.DEVICE_RATE, device=device, retry_after_s=5
            )
        self._devices.note_use(device)
        return device

    def _check_way(self, incoming: Incoming, device: Device) -> None:
        peer = incoming.peer
        # 5. From where that device may speak.
        if device.addresses and peer.address not in Prefixes.of(device.addresses):
            raise self._refused(
                incoming,
                403,
                Cause.DEVICE_ADDRESS,
                device=device,
                warning=f"{device.name} may not speak from {peer.address}: "
                f"callvault device set {device.name} --address PREFIX, "
                "and once more for each that it has",
            )
        # 6. Whether what it says may be read on the way.
        if (
            not _is_private(peer)
            and Allowance.CLEAR_SIGNALLING not in device.allowances
        ):
            raise self._refused(
                incoming,
                403,
                Cause.CLEAR_SIGNALLING,
                device=device,
                warning="use TLS, or callvault device set "
                f"{device.name} --allow {Allowance.CLEAR_SIGNALLING}, "
                "and --allow for each that it has",
            )

    def _identified(
        self, incoming: Incoming, owner: Device | None, now_s: float
    ) -> Device | None:
        peer, request = incoming.peer, incoming.request
        # 2. A certificate that a device has pinned.
        if peer.certificate_sha256 is not None:
            device = self._devices.by_certificate(peer.certificate_sha256)
            if device is not None:
                return device
        # 3. An address that is enough for one device, because somebody said so.
        device = self._devices.by_address(peer.address)
        if device is not None:
            return device
        outside = owner is None and incoming.dialog is None
        if (
            request.method == "OPTIONS"
            and outside
            and self._devices.expects(peer.address)
        ):
            return None
        # 4a. A connection on which the dialog's own device has answered: many
        #     recording clients do not answer challenges to a BYE, and nobody
        #     else can write into a connection without being on its way.
        if owner is not None and (peer.connection, owner.id) in self._proven:
            device = self._devices.limits_of(owner)
            if device is not None:
                return device
        # 4b. A right answer to a challenge.
        return self._answered(incoming, now_s)

    def _answered(self, incoming: Incoming, now_s: float) -> Device:
        peer, asked = incoming.peer, list[DigestSecret]()
        whence = _whence(peer)
        guessing: list[str] = []

        def secret_of(username: str, algorithm: str) -> bytes | None:
            guessing.append(f"{whence} {username[:_LONGEST_NAME]}")
            if self._guesses.are_too_many(guessing[0], now_s) or (
                self._guessers.are_too_many(whence, now_s)
            ):
                raise self._refused(incoming, 403, Cause.GUESSING)
            secret = self._devices.digest_secret(username, algorithm)
            asked.extend(() if secret is None else (secret,))
            return None if secret is None else secret.ha1

        try:
            self._challenger.check(incoming.request, secret_of, now_s)
        except DigestRefusedError as exc:
            if exc.flaw is Flaw.WRONG:
                self._guesses.wrong(guessing[0], now_s)
                self._guessers.wrong(whence, now_s)
            device = asked[0].device if exc.username else None
            raise self._challenged(incoming, exc, now_s, device) from None
        device = asked[0].device
        if asked[0].certificate_required:
            raise self._refused(
                incoming,
                403,
                Cause.CERTIFICATE,
                device=device,
                warning=f"{device.name} is known by its certificate: present it, or "
                f"callvault device set {device.name} --no-certificate",
            )
        if peer.connection:
            self._proven[peer.connection, device.id] = None
            self._proven.move_to_end((peer.connection, device.id))
            if len(self._proven) > _MAX_PROVEN:
                self._proven.popitem(last=False)
        return device

    def _challenged(
        self,
        incoming: Incoming,
        error: DigestRefusedError,
        now_s: float,
        device: Device | None,
    ) -> Refused:
        algorithms = self._devices.digest_algorithms(incoming.peer.address)
        challenges = self._challenger.challenge(now_s, algorithms, stale=error.stale)
        return self._refused(
            incoming,
            401,
            _CAUSES[error.flaw],
            device=device,
            headers=[("WWW-Authenticate", challenge) for challenge in challenges],
        )

    def _refused(
        self,
        incoming: Incoming,
        status: int,
        cause: Cause,
        *,
        device: Device | None = None,
        warning: str = "",
        retry_after_s: int = 0,
        headers: Iterable[tuple[str, str]] = (),
    ) -> Refused:
        self._counts[cause] += 1
        self._note(incoming.peer, cause, device)
        fields = [*headers]
        if warning:
            fields.append(("Warning", f'399 callvault "{warning}"'))
        if retry_after_s:
            fields.append(("Retry-After", str(retry_after_s)))
        return Refused(self._response(incoming, status, fields), cause=cause)

    def _response(
        self, incoming: Incoming, status: int, fields: list[tuple[str, str]]
    ) -> Response:
        request = incoming.request
        # Nothing is kept of a request that is refused, so that the tag of one that
        # comes again has to be the same (RFC 3261, section 8.2.7).
        call = f"{request.headers.get('Call-ID')} {request.headers.get('From')}"
        octets = call.encode("utf-8", "surrogateescape")
        tag = hmac.digest(self._tag_key.reveal(), octets, "sha256")[:8].hex()
        return respond(request, status, headers=tuple(fields), to_tag=tag)

    def _note(self, peer: Peer, cause: Cause, device: Device | None) -> None:
        if cause.is_everyday:
            return
        whose = network_of(peer.address) if device is None else device.id
        now_s = self._clock()
        if self._lines.spend(f"{cause} {whose}", now_s) and (
            device is not None or self._strangers_lines.spend("", now_s)
        ):
            _log.warning(
                REFUSED,
                cause=str(cause),
                origin=peer.address,
                transport=str(peer.transport),
                device=None if device is None else device.id,
            )


_CAUSES: Final = MappingProxyType(
    {
        Flaw.ABSENT: Cause.CHALLENGED,
        Flaw.STALE: Cause.STALE,
        Flaw.REPLAYED: Cause.REPLAYED,
        Flaw.MALFORMED: Cause.ANSWER_MALFORMED,
        Flaw.OTHER_URI: Cause.OTHER_URI,
        Flaw.WRONG: Cause.ANSWER_WRONG,
    }
)


def _whence(peer: Peer) -> str:
    """Return whose guesses are counted together.

    Sources of datagrams can be forged: who guesses by UDP must lock nobody out who
    comes from there by a connection.
    """
    way = "datagrams" if peer.transport is Transport.UDP else "connections"
    return f"{way} {network_of(peer.address)}"


def _is_private(peer: Peer) -> bool:
    """Whether nobody reads along: TLS, or never leaving this machine."""
    return peer.transport is Transport.TLS or peer.address in LOOPBACK
