"""How often somebody may guess: counted in the database, for every process.

An attempt is written down *before* the password is looked at, in a transaction
of its own, and taken back when it was right.  So a hundred guesses in parallel
count as a hundred, and a request that dies or is rolled back has still counted.

Every way to guess at an account comes here: sign-in by page and by API, whatever
source checks the password, one-time and recovery codes, unlocking, step-up.

Guarantees:
    * At most `ThrottleConfig.per_name` wrong guesses per name and
      `ThrottleConfig.per_origin` per origin in any window, over all processes.
    * Names that do not exist are counted like names that do.
    * A refused attempt is not counted, so a lock lifts by itself.
    * A browser in which the person signed in before has a budget of its own, as large
      as a name's: strangers who use up the name's do not lock its owner out.

Left to others: looking at the password (`vault.access.signin`), devices that speak
SIP or the fork API: no call waits for a database (`vault.core.budgets`).
"""

import hashlib
import ipaddress
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Column, Connection, Engine, delete, func, insert, select

from vault.access.known_devices import recognised
from vault.access.names import guessing_key
from vault.access.tables import SIGN_IN_ATTEMPT
from vault.core.clock import NS_PER_S, Clock, system_clock_ns
from vault.core.errors import ThrottledError
from vault.core.ids import new_id
from vault.database.engine import transaction

_DIGEST_BYTES: Final = 16
_LONGEST_NAME: Final = 256
_IPV6_SITE_BITS: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class ThrottleConfig:
    """How many wrong guesses are borne."""

    per_name: int = 10
    per_origin: int = 100
    window_s: float = 1800.0
    "Seconds after which a wrong guess is forgotten."


class Throttle:
    """Counts sign-in attempts; safe to share between threads and processes."""

    def __init__(
        self,
        engine: Engine,
        config: ThrottleConfig | None = None,
        *,
        clock: Clock = system_clock_ns,
    ) -> None:
        self._engine = engine
        self._config = config or ThrottleConfig()
        self._clock = clock

    def admit(self, name: str, origin: str, *, known_device: str = "") -> str:
        """Count one attempt for *name* from *origin* and let it go on.

        Args:
            name: As typed.
            origin: Address of the peer, without port.
            known_device: What the browser shows of an earlier sign-in, if anything;
                checked here.

        Returns:
            The attempt, to be taken back by `forgive` if it was right.

        Raises:
            ThrottledError: Too many wrong guesses; nothing was counted.
        """
        now_ns = self._clock()
        name = name[:_LONGEST_NAME]
        name_digest = _digest("name", guessing_key(name))
        origin_digest = _digest("origin", _site(origin))
        device = recognised(self._engine, name, known_device, now_ns=now_ns)
        if device is not None:
            # Neither strangers who use up the name, nor neighbours who use up the
            # address, take anything from it.
            name_digest = origin_digest = _digest("known-device", device)
        attempt = new_id()
        with transaction(self._engine) as connection:
            _one_at_a_time(connection, name_digest, origin_digest)
            connection.execute(
                delete(SIGN_IN_ATTEMPT).where(
                    SIGN_IN_ATTEMPT.c.at_ns <= now_ns - self._window_ns
                )
            )
            wait_ns = self._longest_wait_ns(
                connection, name_digest, origin_digest, now_ns
            )
            if not wait_ns:
                connection.execute(
                    insert(SIGN_IN_ATTEMPT).values(
                        id=attempt,
                        name_digest=name_digest,
                        origin_digest=origin_digest,
                        at_ns=now_ns,
                    )
                )
        if wait_ns:
            raise ThrottledError(
                "too many sign-ins failed", retry_after_s=wait_ns // NS_PER_S + 1
            )
        return attempt

    def forgive(self, attempt: str) -> None:
        """Take *attempt* back: it was right, or was never looked at."""
        with transaction(self._engine) as connection:
            connection.execute(
                delete(SIGN_IN_ATTEMPT).where(SIGN_IN_ATTEMPT.c.id == attempt)
            )

    @property
    def _window_ns(self) -> int:
        return int(self._config.window_s * NS_PER_S)

    def _longest_wait_ns(
        self, connection: Connection, name: bytes, origin: bytes, now_ns: int
    ) -> int:
        """Return how long until name and origin both have room; 0 if they do."""
        columns, config = SIGN_IN_ATTEMPT.c, self._config
        return max(
            self._wait_ns(
                connection, columns.name_digest, name, config.per_name, now_ns
            ),
            self._wait_ns(
                connection, columns.origin_digest, origin, config.per_origin, now_ns
            ),
        )

    def _wait_ns(
        self,
        connection: Connection,
        column: Column[bytes],
        digest: bytes,
        most: int,
        now_ns: int,
    ) -> int:
        """Return how long until one more attempt fits; 0 if it does now."""
        # The newest *most* attempts fill the window; the oldest of them leaves it
        # first.
        filling = connection.scalars(
            select(SIGN_IN_ATTEMPT.c.at_ns)
            .where(column == digest)
            .order_by(SIGN_IN_ATTEMPT.c.at_ns.desc())
            .limit(most)
        ).all()
        if len(filling) < most:
            return 0
        return max(1, int(filling[-1]) + self._window_ns - now_ns)


def _one_at_a_time(connection: Connection, *digests: bytes) -> None:
    # SQLite has one writer anyway.  PostgreSQL would let a hundred transactions
    # count the same nine attempts; the order of the locks prevents a deadlock.
    if connection.dialect.name == "postgresql":
        for key in sorted(int.from_bytes(one[:8], signed=True) for one in digests):
            connection.execute(select(func.pg_advisory_xact_lock(key)))


def _digest(kind: str, text: str) -> bytes:
    octets = f"{kind}\0{text}".encode("utf-8", "surrogatepass")
    return hashlib.sha256(octets).digest()[:_DIGEST_BYTES]


def _site(origin: str) -> str:
    """Return what one guesser commands: an IPv4 address, or an IPv6 /64."""
    try:
        address = ipaddress.ip_address(origin)
    except ValueError:
        return origin
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address.packed, _IPV6_SITE_BITS), strict=False))
