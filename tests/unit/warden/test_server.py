import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.simulators.warden import USER, CatalogInMemory, Trail
from vault.audit.entry import Action, Draft
from vault.audit.log import AuditLog
from vault.audit.reading import TrailReader
from vault.core.errors import AuditUnavailableError, ConfigurationError
from vault.sealing.keyring import Keyring
from vault.trust.client import WardenClient
from vault.warden.main import listen
from vault.warden.server import Warden
from vault.warden.service import WardenParts

SOON_S = 30.0
LISTED = Draft(action=Action.RECORDING_LISTED, caller=USER)


@pytest.fixture
def parts(
    keyring: Keyring, catalog: CatalogInMemory, reader: TrailReader
) -> WardenParts:
    return WardenParts(keys=keyring, envelopes=catalog, rows=catalog, trail=reader)


@pytest.fixture
def warden(parts: WardenParts, log: AuditLog) -> Iterator[Warden]:
    warden = Warden(parts, log)
    yield warden
    if not warden._stopping.is_set():
        warden.stop()


def actions(trail: Trail) -> list[object]:
    return [each["action"] for each in trail.entries()]


def test_started_is_the_first_leaf_and_stopped_the_last(
    warden: Warden, trail: Trail
) -> None:
    ours, theirs = socket.socketpair()
    warden.start([("web", theirs)])
    with WardenClient.over(ours) as web:
        web.append(LISTED)
        warden.stop()

        with pytest.raises(AuditUnavailableError):
            web.append(LISTED)
    assert actions(trail) == [
        "audit.log.created",
        "process.started",
        "recording.listed",
        "process.stopped",
    ]


def test_each_descriptor_has_its_own_role(warden: Warden, trail: Trail) -> None:
    pairs = {role: socket.socketpair() for role in ("tap", "worker", "web", "cli")}
    warden.start([(role, theirs) for role, (_, theirs) in pairs.items()])
    for ours, _ in pairs.values():
        with WardenClient.over(ours) as client:
            client.append(LISTED)

    assert [each["via"] for each in trail.of("recording.listed")] == list(pairs)


def test_the_kernel_says_who_is_at_the_socket(
    warden: Warden, trail: Trail, tmp_path: Path
) -> None:
    path = tmp_path / "warden.sock"
    warden.start((), listen(path), {os.geteuid(): "cli", os.geteuid() + 1: "web"})
    with WardenClient.at(path) as client:
        client.append(LISTED)

    assert [each["via"] for each in trail.of("recording.listed")] == ["cli"]


def test_an_operator_of_our_own_user_proves_that_he_is_not_confined(
    warden: Warden, trail: Trail, tmp_path: Path
) -> None:
    path, proof, other = (tmp_path / name for name in ("w.sock", "proof", "other"))
    proof.touch()
    other.touch()
    warden.start((), listen(path), {}, proof)
    for shown in (None, other, tmp_path / "missing"):
        with (
            WardenClient.at(path, proof=shown) as client,
            pytest.raises(AuditUnavailableError),
        ):
            client.append(LISTED)
    with WardenClient.at(path, proof=proof) as client:
        client.append(LISTED)

    assert [each["via"] for each in trail.of("recording.listed")] == ["cli"]


def test_a_name_of_the_proof_is_not_the_proof(warden: Warden, tmp_path: Path) -> None:
    """
    A descriptor with O_PATH can be had without any right to open.
    """
    path, proof = tmp_path / "w.sock", tmp_path / "proof"
    proof.touch()
    warden.start((), listen(path), {}, proof)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(path))
        name = os.open(proof, os.O_PATH)
        socket.send_fds(sock, [b"p"], [name])
        os.close(name)
        sock.settimeout(SOON_S)

        assert sock.recv(1) == b""


def test_a_process_of_our_own_user_has_its_role_and_an_operator_his(
    warden: Warden, trail: Trail, tmp_path: Path
) -> None:
    path, proof = tmp_path / "w.sock", tmp_path / "proof"
    proof.touch()
    warden.start((), listen(path), {os.geteuid(): "web"}, proof)
    for shown in (None, proof):
        with WardenClient.at(path, proof=shown) as client:
            client.append(LISTED)

    assert [each["via"] for each in trail.of("recording.listed")] == ["web", "cli"]


def test_a_uid_without_a_role_is_not_served(warden: Warden, tmp_path: Path) -> None:
    path = tmp_path / "warden.sock"
    warden.start((), listen(path), {os.geteuid() + 1: "web"})

    with WardenClient.at(path) as client, pytest.raises(AuditUnavailableError):
        client.append(LISTED)


def test_a_role_that_is_none_stops_the_start(warden: Warden, trail: Trail) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(ConfigurationError):
        warden.start([("root", theirs)])
    with pytest.raises(ConfigurationError):
        warden.start((), None, {0: "root"})

    assert actions(trail) == ["audit.log.created"]
    warden._stopping.set()


def test_a_child_that_was_started_again_is_attached(
    warden: Warden, trail: Trail
) -> None:
    warden.start()
    ours, theirs = socket.socketpair()
    warden.attach("worker", theirs)
    with WardenClient.over(ours) as client:
        client.append(LISTED)

    assert trail.of("recording.listed")[0]["via"] == "worker"


def test_connections_are_bounded_and_given_back(warden: Warden) -> None:
    warden.start()
    pairs = [socket.socketpair() for _ in range(65)]
    for _, theirs in pairs:
        warden.attach("web", theirs)
    refused = pairs[-1][0]
    refused.settimeout(SOON_S)
    assert refused.recv(1) == b""

    for ours, _ in pairs:
        ours.close()
    again = threading.Event()
    while True:
        ours, theirs = socket.socketpair()
        warden.attach("web", theirs)
        with WardenClient.over(ours) as client:
            if client.health().healthy:
                break
        again.wait(0.01)


def test_a_warden_that_stops_takes_no_more_connections(warden: Warden) -> None:
    warden.start()
    warden.stop()
    ours, theirs = socket.socketpair()
    ours.settimeout(SOON_S)
    with ours:
        warden.attach("web", theirs)

        assert ours.recv(1) == b""


def test_it_serves_until_it_is_asked_to_stop(warden: Warden, trail: Trail) -> None:
    ours, theirs = socket.socketpair()
    thread = threading.Thread(target=warden.serve, args=([("web", theirs)], None, {}))
    thread.start()
    with WardenClient.over(ours) as client:
        client.append(LISTED)
    warden.request_stop()
    thread.join(SOON_S)

    assert not thread.is_alive()
    assert actions(trail)[-1] == "process.stopped"


def test_a_client_that_does_not_read_does_not_hold_up_the_end(
    warden: Warden, trail: Trail
) -> None:
    ours, theirs = socket.socketpair()
    warden.start([("web", theirs)])
    with WardenClient.over(ours) as client:
        client.append(LISTED)
        ours.shutdown(socket.SHUT_RD)
        warden.stop()

    assert actions(trail)[-1] == "process.stopped"


class TestUpkeep:
    def test_it_runs_before_the_first_request(
        self, parts: WardenParts, log: AuditLog, trail: Trail
    ) -> None:
        def upkeep(warden: Warden) -> None:
            warden.append(Draft(action=Action.KEY_ROSTER_SIGNED, caller=USER))

        warden = Warden(parts, log, upkeep=upkeep)
        warden.start()
        warden.stop()

        assert actions(trail)[1:] == [
            "process.started",
            "key.roster.signed",
            "process.stopped",
        ]

    def test_one_that_fails_does_not_stop_the_warden(
        self, parts: WardenParts, log: AuditLog
    ) -> None:
        def upkeep(_: Warden) -> None:
            raise ConfigurationError("cannot write the roster")

        warden = Warden(parts, log, upkeep=upkeep)
        warden.start()
        healthy = warden.health().healthy
        warden.stop()

        assert healthy


def test_a_log_that_does_not_work_is_no_warden(
    parts: WardenParts, log: AuditLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: object) -> None:
        raise AuditUnavailableError("disk full")

    monkeypatch.setattr(log, "append", fail)
    warden = Warden(parts, log)
    refuse: Callable[[], None] = warden.start
    with pytest.raises(AuditUnavailableError):
        refuse()

    assert not warden._writer._thread.is_alive()
