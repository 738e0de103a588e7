"""The parts that a desk works with, picked by `vault.recorder.service`."""

from dataclasses import dataclass

from vault.recorder.clock_check import Witness
from vault.recorder.interfaces import Disk, People, RecipientKeys
from vault.recorder.keys import ManifestKey
from vault.recorder.opener import Opener
from vault.spool.ledger import EndedNotes
from vault.spool.outbox import Outbox
from vault.spool.shipper import Shipper
from vault.spool.spool import Spool
from vault.tap.interfaces import MediaTap


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """Everything that takes part in a call."""

    media: MediaTap
    spool: Spool
    notes: EndedNotes
    outbox: Outbox
    shipper: Shipper
    opener: Opener
    keys: RecipientKeys
    people: People
    disk: Disk
    manifest_key: ManifestKey
    witnesses: tuple[Witness, ...] = ()
    "Of times that have been: the clock must not be behind them."
