"""What somebody who has taken over a process finds, tried from inside of it.

A test makes real processes of a real `callvault serve` run code of its own
(`tests/simulators/inside`): in the process itself, with its descriptors, its door and
what the kernel still lets it do.  The parent process, which is not confined, runs the
same code as a control.
"""

import json
import os
import shutil
import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from tests.simulators.installation import (
    Call,
    Installation,
    Pbx,
    Process,
    until,
)
from tests.simulators.ports import free_port
from vault.confine import landlock_version

INSIDE: Final = Path(__file__).parents[1] / "simulators" / "inside"
CONFINED: Final = {
    "web": "web",
    "tap": "tap",
    "media": "vault.tap.worker",
    "syncer": "vault.tap.syncer",
    "worker": "worker",
}
DENIED: Final = "Permission denied"
NOT_PERMITTED: Final = "Operation not permitted"
Order = tuple[Any, ...]

pytestmark = [
    pytest.mark.xdist_group("confinement"),
    pytest.mark.skipif(landlock_version() < 6, reason="needs Linux 6.12"),
]


@dataclass(frozen=True, kw_only=True)
class Intruded:
    """An installation into whose processes a test can put code."""

    vault: Installation
    passphrase: Path
    inside: Path
    pbx: Pbx
    call: Call
    "One that runs."
    recording: str
    "One that is finished."

    def process(self, name: str) -> Process:
        """Return a process by its short name."""
        if name == "parent":
            return self.vault.parent()
        return self.vault.process(CONFINED.get(name, name))

    def run(self, name: str, *orders: Order) -> Mapping[str, str]:
        """Try *orders* inside the process *name*, and return how each ended."""
        (self.inside / "orders.json").write_text(json.dumps(orders))
        process, before = self.process(name), len(self.vault.logged())
        process.signal(signal.SIGUSR2)

        def told() -> Mapping[str, str] | None:
            for line in self.vault.logged()[before:].splitlines():
                if line.startswith('{"inside"') and line.endswith("}"):
                    said = json.loads(line)
                    if said["inside"] == process.pid:
                        found: Mapping[str, str] = said["found"]
                        return found
            return None

        return until(told, f"{name} has tried")

    @property
    def secrets(self) -> Sequence[Path]:
        """What nobody but the warden and an operator opens."""
        folder = self.vault.folder
        return (
            folder / "keys" / "keyring.json",
            folder / "keys" / "warden.lock",
            folder / "keys" / "log-mark.json",
            folder / "keys" / "log.vkey",
            folder / "web" / "factor.key",
            folder / "passphrase",
            self.passphrase,
            folder / "audit" / "audit.sqlite",
            folder / "audit" / "audit.sqlite-wal",
            folder / "audit" / "audit.sqlite-shm",
        )


@pytest.fixture(scope="module")
def intruded() -> Iterator[Intruded]:
    vault = Installation()
    try:
        passphrase = vault.place / "secret" / "passphrase"
        passphrase.parent.mkdir(mode=0o700)
        passphrase.touch(mode=0o600)
        passphrase.write_text("correct horse battery staple\n")
        inside = vault.place / "inside"
        shutil.copytree(INSIDE, inside)
        vault.env |= {
            "CALLVAULT_PASSPHRASE_FILE": str(passphrase),
            "PYTHONPATH": f"{inside}:{os.environ.get('PYTHONPATH', '')}".rstrip(":"),
        }
        vault.said("init", "--yes")
        # Where `init` writes one when it is told no other place.
        (vault.folder / "passphrase").touch(mode=0o600)
        (vault.folder / "passphrase").write_text("correct horse battery staple\n")
        vault.start()
        pbx = vault.add_pbx("pbx")
        finished = pbx.place(seconds=1.0)
        until(
            lambda: (
                [one["state"] for one in vault.json("recordings", "list")] == ["ready"]
            ),
            "the call is ready",
        )
        running = pbx.begin(seconds=1.0)
        yield Intruded(
            vault=vault,
            passphrase=passphrase,
            inside=inside,
            pbx=pbx,
            call=running,
            recording=finished.id,
        )
    finally:
        vault.close()


def reading(intruded: Intruded) -> list[Order]:
    return [(f"read {path.name}", "read", str(path)) for path in intruded.secrets]


def changing(intruded: Intruded) -> list[Order]:
    audit, keys = intruded.vault.folder / "audit", intruded.vault.folder / "keys"
    database = str(audit / "audit.sqlite")
    return [
        ("write", "write", database),
        ("forge", "forge", database),
        ("make", "make", str(audit / "new")),
        ("move", "move", database, str(audit / "moved")),
        ("keys", "make", str(keys / "new")),
        ("socket", "move", str(intruded.vault.folder / "run" / "warden.sock"), "moved"),
    ]


def spying(intruded: Intruded) -> list[Order]:
    warden, parent = intruded.process("warden").pid, intruded.vault.parent().pid
    return [
        ("memory", "memory", warden),
        ("trace", "trace", warden),
        ("environment", "read", f"/proc/{parent}/environ"),
        ("descriptors", "read", f"/proc/{warden}/fd/0"),
    ]


class TestTheControl:
    """Without a domain all of it works: the probes would find a hole."""

    def test_an_unconfined_process_reads_and_changes_everything(
        self, intruded: Intruded
    ) -> None:
        found = intruded.run("parent", *reading(intruded), *changing(intruded)[:5])

        assert {
            **{f"read {path.name}": "read it" for path in intruded.secrets},
            "write": "opened for writing",
            "forge": "wrote into the audit database",
            "make": "made a file",
            "move": "moved a file there and back",
            "keys": "made a file",
        } == found

    def test_it_spies_on_the_warden(self, intruded: Intruded) -> None:
        found = intruded.run("parent", *spying(intruded)[:3])

        assert {
            "memory": "opened its memory",
            "trace": "traced it",
            "environment": "read it",
        } == found

    def test_it_is_the_operator(self, intruded: Intruded) -> None:
        found = intruded.run("parent", *operating(intruded))

        assert {"warden": "got it", "tap": "paused"} == found


@pytest.mark.parametrize("name", CONFINED)
class TestInside:
    def test_it_opens_no_secret(self, intruded: Intruded, name: str) -> None:
        found = intruded.run(name, *reading(intruded))

        assert {order[0]: DENIED for order in reading(intruded)} == found

    def test_it_changes_nothing_of_the_trail_and_the_keys(
        self, intruded: Intruded, name: str
    ) -> None:
        found = intruded.run(name, *changing(intruded))

        assert {
            **dict.fromkeys(("write", "make", "move", "keys", "socket"), DENIED),
            "forge": "OperationalError",
        } == found

    def test_it_sees_nothing_of_the_warden(self, intruded: Intruded, name: str) -> None:
        found = intruded.run(name, *spying(intruded))

        assert {
            "memory": DENIED,
            "trace": NOT_PERMITTED,
            "environment": DENIED,
            "descriptors": DENIED,
        } == found

    def test_it_signs_for_nobody_else(self, intruded: Intruded, name: str) -> None:
        keys = ("tap/manifest.key", "worker/addendum.key")
        orders = [(key, "read", str(intruded.vault.folder / key)) for key in keys]
        own = {"tap/manifest.key": "read it"} if name in {"tap", "syncer"} else {}

        assert dict.fromkeys(keys, DENIED) | own == intruded.run(name, *orders)

    def test_it_starts_no_other_program(self, intruded: Intruded, name: str) -> None:
        assert {"run": DENIED} == intruded.run(name, ("run", "run", "/bin/true"))

    def test_it_signals_nobody(self, intruded: Intruded, name: str) -> None:
        warden = intruded.process("warden").pid
        # A tap ends media workers that an earlier one has started (ADR 16).
        may = name in {"tap", "syncer"}
        expected = "may signal it" if may else NOT_PERMITTED

        assert {"end": expected} == intruded.run(name, ("end", "signal", warden))

    def test_it_listens_at_no_other_port(self, intruded: Intruded, name: str) -> None:
        orders = ("port", "listen", free_port())

        assert {"port": DENIED} == intruded.run(name, orders)

    def test_it_is_no_operator(self, intruded: Intruded, name: str) -> None:
        # The one hangs up, and the other says no.
        expected = {"warden": "AuditUnavailableError", "tap": "UnavailableError"}
        orders = operating(intruded)
        if name == "tap":
            # It would wait for its own answer.
            del expected["tap"], orders[1]

        assert expected == intruded.run(name, *orders)

    def test_it_is_marked_for_good(self, intruded: Intruded, name: str) -> None:
        found = intruded.run(name, ("status", "status"))

        assert {"status": "dumpable 0, 1"} == found


def operating(intruded: Intruded) -> list[Order]:
    folder = intruded.vault.folder
    proof = str(folder / "keys" / "warden.lock")
    door = str(folder / "run" / "tap" / "door.sock")
    socket = str(folder / "run" / "warden.sock")
    return [
        ("warden", "operate", socket, proof, intruded.recording),
        ("tap", "pause", door, intruded.call.id, proof),
    ]


ASKED: Final = (
    *("play", "recover", "render", "as an operator", "forged leaf", "claimed leaf"),
    *("trail", "rows", "unknown call"),
)
GOT, REFUSED = "got it", "AccessDeniedError"
EVERYBODY: Final = {"claimed leaf": GOT, "unknown call": "InvalidInputError"}


HAD: Final[Mapping[str, Mapping[str, str]]] = {
    "web": {"play": GOT, "trail": GOT, "rows": GOT},
    "tap": {},
    "worker": {"render": GOT},
}
PARTS: Final = {"warden:append": "forged leaf", "warden:open_rows": "rows"}


def test_a_door_gives_its_role_and_no_other_and_leaves_say_so(
    intruded: Intruded,
) -> None:
    """
    All that somebody gets who has the door of a process; each key with its leaf.
    """
    orders = [(asked, "ask", asked, intruded.recording) for asked in ASKED]
    found = {name: intruded.run(name, *orders) for name in HAD}
    trail = intruded.vault.trail()

    for name, had in HAD.items():
        leaves = [one for one in trail if one["via"] == name]
        keys = [
            one["result"]
            for one in leaves
            if one["action"] == "recording.key.released"
            and one["actor"] in {"user:u1", "os:0", "process:intruder"}
        ]
        refused = {
            PARTS.get(one["detail"]["part"], "trail")
            for one in leaves
            if one["action"] == "access.refused" and "part" in one["detail"]
        }

        assert dict.fromkeys(ASKED, REFUSED) | EVERYBODY | had == found[name]
        # Four asked for a key: as many leaves, and what was got is what they say.
        assert sorted(keys) == sorted(
            "ok" if asked in had else "refused"
            for asked in ("play", "recover", "render", "as an operator")
        )
        assert {"trail", "rows", "forged leaf"} - had.keys() == refused
        # Whoever it claimed to be.
        assert "os:0" in [
            one["actor"] for one in leaves if one["action"] == "recording.listed"
        ]


def test_a_worker_connects_to_nobody(intruded: Intruded) -> None:
    """Its database and store are folders here: it has no business in any network."""
    port = int(intruded.vault.metrics.rpartition(":")[2])

    assert {"to": DENIED} == intruded.run("worker", ("to", "connect", port))


def test_readiness_says_that_nothing_is_missing(intruded: Intruded) -> None:
    answer = intruded.vault.client(intruded.vault.web).get("/../../readyz")

    assert "ok" == answer.json()["checks"]["hardening"]
    assert "process.not-hardened" not in intruded.vault.logged()


def test_the_call_that_ran_meanwhile_still_runs(intruded: Intruded) -> None:
    """Whatever was tried; the control may have paused it."""
    state = intruded.pbx.status(intruded.call)["state"]

    assert state in {"recording", "paused"}
