"""The beginning of a call: folder, envelope and first metadata, all written.

Guarantees: when `prepare` returns, all that a later process needs to account for
the call is written; when it raises, nothing of the call is left.

Left to others: whether a call may begin at all, and making it durable, with others
that begin at the same time, before it is answered (`vault.recorder.desk`).
"""

import time

from vault.core.clock import month_of, rfc3339
from vault.core.flow import SessionOrder
from vault.core.ids import KeyId, new_recording_id
from vault.recorder.advertise import advertised
from vault.recorder.config import RecorderConfig
from vault.recorder.documents import seal_documents
from vault.recorder.facts import seal_metadata
from vault.recorder.parts import Desk
from vault.recorder.placing import place
from vault.recorder.session import Session, begin_streams
from vault.sealing.envelope import new_dek, wrap
from vault.sip.offer import Offer
from vault.spool.files import ENVELOPE
from vault.spool.order import SpoolOrder
from vault.tap.orders import PortPair


def prepare(
    parts: Desk,
    config: RecorderConfig,
    *,
    order: SessionOrder,
    offer: Offer,
    ports: list[PortPair],
    started_ns: int,
) -> Session:
    """Write everything that must be durable before *order* is answered.

    Raises:
        NoRecipientKeyError: Nobody to wrap the data key for.
        SpoolFullError, UnavailableError: It could not be written.
    """
    address = advertised(order.device, config, order.origin)
    recipients = parts.keys.recipients(month_of(started_ns))
    recording_id, dek = new_recording_id(), new_dek()
    envelope = wrap(dek, recording_id, recipients)
    placed = place(order.call, parts.people)
    spool_order = SpoolOrder(
        recording_id=recording_id,
        device_id=order.device.id,
        workgroup_id=placed.workgroup_id,
        agent_id=placed.agent_id,
        kid=KeyId(envelope.recipients[0].kid),
        tap=config.tap_name,
        started=rfc3339(started_ns),
    )
    folder = parts.spool.create(spool_order)
    now_s = time.monotonic()
    session = Session(
        order=spool_order,
        device=order.device,
        dek=dek,
        folder=folder,
        facts=order.call,
        place=placed,
        signalling=order.signalling,
        origin=order.origin,
        address=address,
        started_ns=started_ns,
        began_s=now_s,
        seen_at_s=now_s,
        offer=offer,
        streams=begin_streams(
            offer.streams, ports, keeps_digits=config.keep_dtmf_digits
        ),
    )
    try:
        folder.write_soon(ENVELOPE, bytes(envelope))
        seal_metadata(session, write=folder.write_soon)
        seal_documents(
            session, order.documents, now_ns=started_ns, write=folder.write_soon
        )
    except BaseException:
        folder.remove()
        raise
    return session
