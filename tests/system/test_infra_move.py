"""infra/move/move-installation: from SQLite and a folder to PostgreSQL and another store."""

import hashlib
import io
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest

from tests.simulators.postgres import throwaway_postgres
from vault.access.people import People
from vault.access.workgroups import DEFAULT_WORKGROUP
from vault.catalog.envelopes import Envelopes
from vault.catalog.recordings import Recordings
from vault.catalog.values import OpenRecording
from vault.config import PREFIX, Settings
from vault.core.ids import DeviceId, KeyId, RecordingId, new_recording_id
from vault.objects.keys import ObjectKey
from vault.wiring import Installation

REPOSITORY: Final = Path(__file__).parents[2]
SCRIPT: Final = REPOSITORY / "infra" / "move" / "move-installation"

pytestmark = [pytest.mark.postgres, pytest.mark.xdist_group("infra-move")]


class Move:
    """An installation, and where it is to go."""

    def __init__(self, folder: Path, database: str) -> None:
        self.folder, self.database = folder, database
        self.data = folder / "data"
        self.objects = folder / "elsewhere"
        self.opened: list[Installation] = []
        self.old: dict[str, str] = {
            "CALLVAULT_DATA_DIR": str(self.data),
            "CALLVAULT_KEYRING_MEMORY_MIB": "19",
            "CALLVAULT_PASSWORD_MEMORY_MIB": "8",
        }
        self.new = {
            **self.old,
            "CALLVAULT_DATABASE_URL": database,
            "CALLVAULT_OBJECTS_URL": f"file:{self.objects}",
        }

    def run(
        self, environment: Mapping[str, str], *words: str, stdin: str = ""
    ) -> "subprocess.CompletedProcess[str]":
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(PREFIX)}
        return subprocess.run(
            [sys.executable, *words],
            env={**inherited, "PYTHONPATH": str(REPOSITORY), **environment},
            cwd=self.folder,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )

    def callvault(
        self, environment: Mapping[str, str], *words: str, stdin: str = ""
    ) -> str:
        done = self.run(environment, "-m", "vault", *words, stdin=stdin)
        assert 0 == done.returncode, done.stderr
        return done.stdout

    def move(self) -> "subprocess.CompletedProcess[str]":
        return self.run(self.new, str(SCRIPT))

    def installation(self, *, new: bool) -> Installation:
        url = {"database_url": self.database, "objects_url": f"file:{self.objects}"}
        made = Installation(Settings(data_dir=self.data, **(url if new else {})))
        self.opened.append(made)
        return made

    def close(self) -> None:
        for made in self.opened:
            made.catalog.dispose()


@pytest.fixture
def move(tmp_path: Path) -> Iterator[Move]:
    with throwaway_postgres(durable=True) as url:
        made = Move(tmp_path, url)
        made.callvault(made.old, "init", "--yes")
        yield made
        made.close()


def record(installation: Installation) -> RecordingId:
    order = OpenRecording(
        id=new_recording_id(),
        device_id=DeviceId("dddddddd-0000-4000-8000-000000000000"),
        workgroup_id=DEFAULT_WORKGROUP,
        agent_id=None,
        day="2026-11-23",
        kid=KeyId("0123456789abcdef0123456789abcdef"),
        envelope=b'{"v":1}',
    )
    Recordings(installation.catalog).open(order)
    installation.stores.media.put_once(
        ObjectKey.of(order.id, "manifest"),
        io.BytesIO(b"sealed"),
        size=6,
        sha256=hashlib.sha256(b"sealed").digest(),
    )
    return order.id


def test_everything_arrives_and_the_trail_goes_on(move: Move) -> None:
    move.callvault(
        move.old, "user", "add", "sam", "--role", "supervisor", "--workgroup", "Claims",
        "--password-stdin", stdin="correct horse battery\n",
    )  # fmt: skip
    recording = record(move.installation(new=False))
    before = str(move.folder / "before.jsonl")
    move.callvault(move.old, "audit", "export", "--output", before)
    done = move.move()
    assert 0 == done.returncode, done.stderr
    after = str(move.folder / "after.jsonl")
    key = move.callvault(move.new, "audit", "key").strip()
    move.callvault(move.new, "audit", "export", "--output", after, "--previous", before)
    new = move.installation(new=True)

    assert "continues the earlier checkpoint" in move.callvault(
        move.new, "audit", "verify", after, "--key", key, "--previous", before
    )
    assert b'{"v":1}' == Envelopes(new.catalog).read(recording)
    assert b"sealed" == new.stores.media.read(ObjectKey.of(recording, "manifest"))
    assert ["sam"] == [person.name for person in People(new.catalog).list()]
    assert record(new) in [row.id for row in Recordings(new.catalog).newest(10)]


def test_a_database_that_is_in_use_is_refused_and_stays_as_it_is(move: Move) -> None:
    assert 0 == move.move().returncode
    move.callvault(
        move.new, "user", "add", "eve", "--role", "officer", "--password-stdin",
        stdin="correct horse battery\n",
    )  # fmt: skip
    done = move.move()
    people = People(move.installation(new=True).catalog).list()

    assert (1, True) == (done.returncode, "has rows in person" in done.stderr)
    assert ["eve"] == [person.name for person in people]


def test_without_a_new_database_nothing_is_done(move: Move) -> None:
    done = move.run(move.old, str(SCRIPT))

    assert 1 == done.returncode
    assert "no database_url" in done.stderr
