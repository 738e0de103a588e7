"""The media tap's part of a new offer: changed streams, and ports for further ones.

Guarantees: a port belongs to a stream of the call afterwards, or is given back,
whatever the media tap answers.

Left to others: what the offer asks (`vault.recorder.session`), handshakes of what has
no keys yet (`vault.recorder.handshakes`).
"""

from vault.recorder.session import (
    Renegotiation,
    Session,
    Stream,
    begin_streams,
    keyed_orders,
)
from vault.tap.interfaces import MediaTap
from vault.tap.orders import PortPair


async def apply(
    media: MediaTap, session: Session, asked: Renegotiation, ports: list[PortPair]
) -> dict[int, Stream]:
    """Have the media tap do what *asked* says; return the streams that are new.

    Args:
        media: Where the call runs.
        session: The call; it is not changed.
        asked: What a new offer asks.
        ports: Reserved, one pair for each of the new streams.

    Raises:
        NotFoundError: The media tap does not have the call.
        UnavailableError: It could not do it.
    """
    try:
        for change in asked.changes:
            await media.change_stream(session.recording_id, change)
        keeps_digits = any(each.keeps_digits for each in session.streams.values())
        added = begin_streams(asked.added, ports, keeps_digits=keeps_digits)
        # Last: whatever fails before or in here, none of the ports is the tap's.
        if orders := keyed_orders(added.values()):
            await media.add_streams(session.recording_id, orders)
    except BaseException:
        media.release(ports)
        raise
    return added
