"""What of a dialog outlives a process, as octets: JSON, read back with its types.

Guarantees: what was written is read back as the same values, octets that are not
UTF-8 in a header included; anything else raises `MalformedSignallingError`.

Left to others: where it is kept; it names people and must be sealed or stay in
memory (`vault.recorder`).
"""

import base64
import json
from collections.abc import Mapping
from typing import Final, TypeAlias, TypeVar

from vault.core.errors import MalformedSignallingError
from vault.sip.peers import Peer, Transport
from vault.sip.session_timer import Refresher, SessionTimer

_T = TypeVar("_T")

_VERSION: Final = 1

Json: TypeAlias = bool | int | float | str | list[str] | dict[str, "Json"] | None


def written(values: Mapping[str, Json]) -> bytes:
    """Return *values* as octets, always the same for the same values."""
    return json.dumps(
        {"version": _VERSION, **values}, sort_keys=True, separators=(",", ":")
    ).encode("ascii")


def written_peer(peer: Peer) -> dict[str, Json]:
    """Return *peer* for `written`."""
    proof = peer.certificate_sha256
    return {
        "transport": peer.transport.value,
        "address": peer.address,
        "port": peer.port,
        "connection": peer.connection,
        "local_address": peer.local[0],
        "local_port": peer.local[1],
        "certificate_sha256": None if proof is None else proof.hex(),
    }


def written_timer(timer: SessionTimer | None) -> dict[str, Json] | None:
    """Return *timer* for `written`."""
    if timer is None:
        return None
    return {"interval_s": timer.interval_s, "refresher": timer.refresher.value}


def written_octets(octets: bytes) -> str:
    """Return *octets* for `written`."""
    return base64.b64encode(octets).decode("ascii")


class Kept:
    """Values that `written` wrote, taken out by name and type."""

    __slots__ = ("_values",)

    def __init__(self, values: object) -> None:
        if not isinstance(values, dict):
            raise MalformedSignallingError("not the state of a dialog")
        self._values: dict[str, object] = values

    @classmethod
    def read(cls, octets: bytes) -> "Kept":
        """Read what `written` returned.

        Raises:
            MalformedSignallingError: It is not that, or of another version.
        """
        try:
            kept = cls(json.loads(octets))
        except (ValueError, RecursionError):
            raise MalformedSignallingError("not the state of a dialog") from None
        if kept.number("version") != _VERSION:
            raise MalformedSignallingError("the state of another version's dialog")
        return kept

    def text(self, name: str) -> str:
        """Return a text."""
        return self._of(str, name)

    def number(self, name: str) -> int:
        """Return a whole number."""
        value = self._of(int, name)
        if isinstance(value, bool):
            raise MalformedSignallingError("not a number in the state of a dialog")
        return value

    def time_s(self, name: str) -> float:
        """Return a time in seconds."""
        value = self._values.get(name)
        return value if isinstance(value, float) else self.number(name)

    def flag(self, name: str) -> bool:
        """Return a truth value."""
        return self._of(bool, name)

    def octets(self, name: str) -> bytes:
        """Return octets."""
        try:
            return base64.b64decode(self.text(name), validate=True)
        except ValueError:
            raise MalformedSignallingError("not octets in a dialog's state") from None

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a list of texts."""
        found = self._of(list, name)
        if not all(isinstance(one, str) for one in found):
            raise MalformedSignallingError("not texts in the state of a dialog")
        return tuple(found)

    def inner(self, name: str) -> "Kept | None":
        """Return values within; None where there are none."""
        value = self._values.get(name)
        return None if value is None else Kept(value)

    def peer(self, name: str) -> Peer:
        """Return a peer."""
        kept = Kept(self._values.get(name))
        try:
            transport = Transport(kept.text("transport"))
            proof = kept._values.get("certificate_sha256")
            certificate = None if proof is None else bytes.fromhex(str(proof))
        except ValueError:
            raise MalformedSignallingError("not a peer in a dialog's state") from None
        return Peer(
            transport=transport,
            address=kept.text("address"),
            port=kept.number("port"),
            connection=kept.number("connection"),
            local=(kept.text("local_address"), kept.number("local_port")),
            certificate_sha256=certificate,
        )

    def timer(self, name: str) -> SessionTimer | None:
        """Return a session timer; None where there is none."""
        kept = self.inner(name)
        if kept is None:
            return None
        try:
            refresher = Refresher(kept.text("refresher"))
        except ValueError:
            raise MalformedSignallingError("nobody refreshes in that state") from None
        return SessionTimer(interval_s=kept.number("interval_s"), refresher=refresher)

    def _of(self, kind: type[_T], name: str) -> _T:
        value = self._values.get(name)
        if not isinstance(value, kind):
            raise MalformedSignallingError("a member of a dialog's state is missing")
        return value
