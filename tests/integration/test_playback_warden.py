"""Worker and playback with a real warden, a real log and real envelopes."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from tests.simulators.calls import Phone, Vault, added, babble, capture
from vault.audit.checkpoint import Signer
from vault.audit.log import AuditLog
from vault.audit.reading import TrailReader
from vault.audit.schema import upgrade_audit
from vault.catalog.envelopes import Envelopes
from vault.catalog.rows import Rows
from vault.core.clock import month_of, system_clock_ns
from vault.core.errors import AuditUnavailableError
from vault.core.flow import RecordingState
from vault.core.ranges import ByteRange
from vault.core.secrets import SecretBytes
from vault.database.engine import open_engine
from vault.sealing.envelope import wrap
from vault.sealing.keyring import ArgonCost, Keyring
from vault.trust.client import WardenClient
from vault.warden.server import Warden
from vault.warden.service import WardenParts


class Trusted:
    """A warden with a connection for each role."""

    def __init__(self, folder: Path, vault: Vault, audit: Engine) -> None:
        month = month_of(system_clock_ns())
        keyring = Keyring.create(
            folder / "keyring.json",
            SecretBytes(b"passphrase"),
            months=sorted({month, "2026-11"}),
            cost=ArgonCost(memory_kib=19 * 1024, iterations=2, lanes=1),
        )
        vault.wrapped = lambda key, id: bytes(
            wrap(key, id, keyring.recipients("2026-11")[:1])
        )
        self._audit = audit
        self._log = AuditLog(
            audit,
            signer=Signer(name="vault.example/audit", key=keyring.log_signing_key),
            origin="vault.example/audit",
            mark_path=folder / "log-mark.json",
        ).open()
        parts = WardenParts(
            keys=keyring,
            envelopes=Envelopes(vault.engine),
            rows=Rows(vault.engine),
            trail=TrailReader(audit),
        )
        self._warden = Warden(parts, self._log)
        pairs = {role: socket.socketpair() for role in ("web", "worker")}
        self._warden.start([(role, theirs) for role, (_, theirs) in pairs.items()])
        self._stopped = False
        self.web = WardenClient.over(pairs["web"][0])
        self.worker = WardenClient.over(pairs["worker"][0])

    def stop(self) -> None:
        if self._stopped:
            return
        self._stopped = True
        self.web.close()
        self.worker.close()
        self._warden.stop()
        self._log.close()

    def leaves(self) -> list[dict[str, str]]:
        reader = TrailReader(self._audit)
        return [json.loads(each) for each in reader.entries(0, reader.head().size)]


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[Vault]:
    vault = Vault(tmp_path / "vault")
    yield vault
    vault.close()


@pytest.fixture
def trusted(tmp_path: Path, vault: Vault) -> Iterator[Trusted]:
    audit = open_engine(f"sqlite:///{tmp_path}", schema="audit")
    upgrade_audit(audit)
    trusted = Trusted(tmp_path, vault, audit)
    yield trusted
    trusted.stop()
    audit.dispose()


PART = capture(
    Phone(stream=0).say(babble(3, seed=1)) + Phone(stream=1).say(babble(3, seed=2)),
    added(0, "agent"),
    added(1, "customer"),
)


def rendered(vault: Vault, trusted: Trusted) -> str:
    id = vault.captured(PART)
    vault.worker(
        keys=trusted.worker, rows=trusted.worker, trail=trusted.worker
    ).run_once()
    return id


def test_a_call_is_rendered_and_played_with_a_leaf_for_each_step(
    vault: Vault, trusted: Trusted
) -> None:
    id = rendered(vault, trusted)
    playback = vault.playback(keys=trusted.web, trail=trusted.web)
    grant = vault.grant(id)
    opened = playback.open(grant)
    octets = b"".join(opened.stream(ByteRange(start=0, stop=opened.size)))
    playback.close(grant.id)

    told = [
        (leaf["action"], leaf["via"])
        for leaf in trusted.leaves()
        if leaf.get("recording") == id
    ]

    assert vault.recordings.row(id).state == RecordingState.READY
    assert octets.startswith(b"fLaC")
    assert [each for each in told if each[0] != "recording.rows.sealed"] == [
        ("recording.key.released", "worker"),
        *[("recording.rendered", "worker")] * 3,
        ("recording.key.released", "web"),
        ("recording.played", "web"),
    ]


def test_the_row_can_be_opened_and_found(vault: Vault, trusted: Trusted) -> None:
    id = rendered(vault, trusted)
    caller = vault.grant(id).caller

    rows = trusted.web.open_rows(caller, [id])

    assert json.loads(rows[id])["caller"] == "+4989123"


def test_no_log_no_play(vault: Vault, trusted: Trusted) -> None:
    id = rendered(vault, trusted)
    playback = vault.playback(keys=trusted.web, trail=trusted.web)
    trusted.stop()

    with pytest.raises(AuditUnavailableError):
        playback.open(vault.grant(id))


def test_a_worker_without_a_warden_gives_the_call_back(
    vault: Vault, trusted: Trusted
) -> None:
    id = vault.captured(PART)
    worker = vault.worker(
        keys=trusted.worker, rows=trusted.worker, trail=trusted.worker
    )
    trusted.stop()

    with pytest.raises(AuditUnavailableError):
        worker.run_once()

    assert vault.recordings.row(id).state == RecordingState.CAPTURED
