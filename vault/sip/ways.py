"""How a message of ours gets to its peer, also when its connection is gone.

    answer     its connection ─► for a 2xx: a new one, to the source, at the port in Via
    request    its connection ─► one on which it has come back ─► a new one, to the URI

Over UDP everything goes to where the peer's last request came from; a request to the
port of its Contact, where that names the same address.  Behind a NAT nothing else
arrives.

Guarantees: nothing is opened for whom nothing was accepted; one connection at a time
is opened in place of one that is gone, and used until it is gone, too.

Left to others: sockets (`vault.sip.transport`), repetition (transactions).

Spec: RFC 3261, sections 12.2.1.1, 18.1 and 18.2.2; RFC 5923.
"""

import asyncio
from collections import OrderedDict
from dataclasses import replace
from typing import Final

from vault.core.errors import MalformedSignallingError, UnavailableError
from vault.sip.counting import Refusal, Tally
from vault.sip.dialogs import Dialog
from vault.sip.messages import Response, parse_message
from vault.sip.peers import Outgoing, Peer, Transport
from vault.sip.screening import default_port, reopened_port
from vault.sip.transport import Transports
from vault.sip.uris import SipUri

_MOST_MOVED: Final = 1024
_RESPONSE: Final = b"SIP/2.0 "
_SUCCESS: Final = b"SIP/2.0 2"
_STATUS: Final = slice(8, 11)


class Ways:
    """Sends; lives on one event loop."""

    def __init__(self, transports: Transports, *, tally: Tally) -> None:
        """Send by *transports* and count in *tally*."""
        self._transports = transports
        self._tally = tally
        self._moved: OrderedDict[int, Peer] = OrderedDict()
        "What took the place of a connection that is gone, by its number."
        self._opening: dict[int, asyncio.Task[None]] = {}

    def send(self, out: Outgoing) -> bool:
        """Send *out*; return False where it is lost.

        A 2xx whose connection is gone may still be on its way.
        """
        peer = self._moved.get(out.peer.connection, out.peer)
        if self._sent(out.message, peer):
            return True
        is_reopened = (
            peer.transport is not Transport.UDP
            and out.message.startswith(_SUCCESS)
            and out.peer.connection not in self._opening
        )
        if not is_reopened:
            return False
        task = asyncio.get_running_loop().create_task(self._reopen(out))
        self._opening[out.peer.connection] = task
        task.add_done_callback(
            lambda _: self._opening.pop(out.peer.connection, None) and None
        )
        return True

    async def to(self, dialog: Dialog) -> Peer:
        """Return the way for a request of ours in *dialog*.

        Raises:
            UnavailableError: There is none.
        """
        peer = dialog.peer
        if peer.transport is Transport.UDP:
            return replace(peer, port=_contact_port(dialog) or peer.port)
        moved = self._moved.get(peer.connection)
        for way in (peer, moved):
            live = None if way is None else self._transports.live(way)
            if live is not None:
                return live
        try:
            target = SipUri.parse(dialog.next_hop)
        except MalformedSignallingError as error:
            raise UnavailableError("a peer says no address that is one") from error
        port = target.port or default_port(peer.transport)
        live = await self._transports.open(peer, target.host, port)
        self._move(peer.connection, live)
        return live

    async def stop(self) -> None:
        """Open nothing more."""
        tasks = list(self._opening.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _sent(self, message: bytes, peer: Peer) -> bool:
        if not self._transports.send(message, peer):
            return False
        if message.startswith(_RESPONSE):
            self._tally.response(int(message[_STATUS]))
        return True

    async def _reopen(self, out: Outgoing) -> None:
        try:
            response = parse_message(out.message)
            assert isinstance(response, Response)
            port = reopened_port(response, out.peer.transport)
            peer = await self._transports.open(out.peer, out.peer.address, port)
        except (UnavailableError, MalformedSignallingError):
            self._tally.refused(Refusal.UNSENT)
            return
        self._move(out.peer.connection, peer)
        self._sent(out.message, peer)

    def _move(self, connection: int, peer: Peer) -> None:
        self._moved[connection] = peer
        self._moved.move_to_end(connection)
        if len(self._moved) > _MOST_MOVED:
            self._moved.popitem(last=False)


def _contact_port(dialog: Dialog) -> int | None:
    """Return the port of the next hop, where it is at the peer's own address."""
    try:
        target = SipUri.parse(dialog.next_hop)
    except MalformedSignallingError:
        return None
    if target.host != dialog.peer.address:
        return None
    return target.port or default_port(Transport.UDP)
