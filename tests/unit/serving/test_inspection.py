import json
import os
import resource
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from vault import process
from vault.config import Settings
from vault.serving.inspection import (
    Finding,
    _clock,
    _disk,
    _is_ours,
    _machine,
    _parts,
    _tap,
    _warden,
)
from vault.wiring import Installation


def settings(folder: Path, **members: object) -> Settings:
    return Settings(data_dir=folder, **members)  # type: ignore[arg-type] # what the test wants


def errors(findings: list[Finding]) -> list[str]:
    return [one.text for one in findings if one.level == "error"]


class TestTheDisk:
    def test_a_private_folder_with_room_is_fine(self, tmp_path: Path) -> None:
        tmp_path.chmod(0o700)

        assert errors(list(_disk(settings(tmp_path)))) == []

    def test_a_folder_that_is_open_to_others_is_an_error(self, tmp_path: Path) -> None:
        tmp_path.chmod(0o750)

        (said,) = errors(list(_disk(settings(tmp_path))))

        assert f"chmod 0700 {tmp_path}" in said

    def test_too_little_room_is_an_error(self, tmp_path: Path) -> None:
        tmp_path.chmod(0o700)

        (said,) = errors(list(_disk(settings(tmp_path, spool_reserve_bytes=1 << 60))))

        assert "in reserve" in said

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
    def test_a_folder_of_somebody_else_is_an_error(self, tmp_path: Path) -> None:
        tmp_path.chmod(0o700)
        os.chown(tmp_path, 65534, 65534)

        (said,) = errors(list(_disk(settings(tmp_path))))

        assert "belongs to another user" in said

    def test_looking_makes_nothing(self, tmp_path: Path) -> None:
        absent = tmp_path / "not" / "there"

        list(_disk(settings(absent)))

        assert list(tmp_path.iterdir()) == []


def test_a_database_that_cannot_be_opened_is_said_and_the_rest_is_looked_at(
    tmp_path: Path,
) -> None:
    (tmp_path / "catalog").mkdir()
    (tmp_path / "catalog" / "catalog.sqlite").write_bytes(b"this is no database" * 100)

    findings = {one.text.partition(":")[0]: one for one in _parts(Installation(settings(tmp_path)))}  # fmt: skip

    assert findings["catalog database"].level == "error"
    assert findings["roster"].level == "error"
    assert "callvault init" in findings["roster"].text
    assert {"audit database", "object store"} <= findings.keys()


def test_a_warden_that_does_not_serve_is_a_warning(tmp_path: Path) -> None:
    apart = settings(tmp_path, warden_socket=tmp_path / "none.sock")
    found = _warden(Installation(apart))

    assert ("warning", True) == (found.level, "serve is not running" in found.text)


@pytest.mark.enable_socket
@pytest.mark.parametrize(
    ("address", "ours"), [("127.0.0.1", True), ("::1", True), ("192.0.2.1", False)]
)
def test_an_address_is_ours_if_it_can_be_bound(
    address: str, ours: bool, socket_enabled: None
) -> None:
    if address == "::1" and not Path("/proc/net/if_inet6").read_text():
        pytest.skip("this machine has no IPv6")

    assert ours == _is_ours(address)


@pytest.fixture
def limits() -> Iterator[None]:
    before = [
        (one, resource.getrlimit(one))
        for one in (resource.RLIMIT_NOFILE, resource.RLIMIT_MEMLOCK)
    ]
    yield
    for one, pair in before:
        resource.setrlimit(one, pair)


@pytest.mark.enable_socket
@pytest.mark.usefixtures("socket_enabled")
class TestTheMachine:
    def test_descriptors_are_compared_with_ports(self, tmp_path: Path) -> None:
        found = [
            one
            for one in _machine(settings(tmp_path, media_ports="40000-40039"))
            if "descriptors per process" in one.text
        ]

        assert [("ok", True)] == [
            (one.level, "room for about 10 calls" in one.text) for one in found
        ]

    @pytest.mark.usefixtures("limits")
    @pytest.mark.parametrize("swap", [True, False])
    @pytest.mark.parametrize("locked", [True, False])
    def test_memory_is_said_to_be_what_readiness_says(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        *,
        locked: bool,
        swap: bool,
    ) -> None:
        _, hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (64 << 10, hard))
        monkeypatch.setattr(process, "_locked", lambda: locked)
        monkeypatch.setattr(process, "_swap_exists", lambda: swap)
        ready = not any("swapped" in gap for gap in process.harden())

        said = [
            one
            for one in _machine(settings(tmp_path))
            if "swap" in one.text or "MEMLOCK" in one.text
        ]

        expected = (
            ("ok", "memory is locked, or there is no swap")
            if ready
            else ("warning", process.MAY_BE_SWAPPED)
        )
        assert [expected] == [(one.level, one.text) for one in said]
        assert ready is (locked or not swap)

    def test_the_clock_is_looked_at(self) -> None:
        assert {"ok", "warning"} >= {one.level for one in _clock()}


class TestTheTap:
    def status(self, folder: Path, **members: object) -> Installation:
        installation = Installation(settings(folder))
        installation.tap_status_path.parent.mkdir(parents=True, exist_ok=True)
        told = {
            "v": 1,
            "at_s": time.monotonic(),
            "workers": [{"streams": 6, "late_s": 0.25}],
            "workers_wanted": 1,
            "streams_per_worker": 100,
            "store_kept": 15,
            "trouble": {"reason": "", "text": ""},
            **members,
        }
        installation.tap_status_path.write_text(json.dumps(told))
        return installation

    def test_a_tap_that_is_well_is_said_to_be(self, tmp_path: Path) -> None:
        assert [
            ("ok", "1 of 1 media workers, 6 of 100 streams, 0.2 s behind at most"),
            ("ok", "a descriptor store keeps 15 descriptors"),
        ] == [(one.level, one.text) for one in _tap(self.status(tmp_path))]

    def test_one_that_takes_no_calls_says_why(self, tmp_path: Path) -> None:
        trouble = {"reason": "clock", "text": "the clock is 400 s behind"}
        installation = self.status(tmp_path, trouble=trouble)

        assert errors(list(_tap(installation))) == [
            "the tap takes no calls: the clock is 400 s behind"
        ]

    def test_a_worker_that_is_missing_is_an_error(self, tmp_path: Path) -> None:
        (said,) = errors(list(_tap(self.status(tmp_path, workers_wanted=2))))

        assert "1 of 2 media workers" in said

    def test_without_a_store_there_is_a_warning(self, tmp_path: Path) -> None:
        found = list(_tap(self.status(tmp_path, store_kept=None)))

        assert "warning" == found[-1].level
        assert "no descriptor store" in found[-1].text

    def test_a_dead_one_is_not_running(self, tmp_path: Path) -> None:
        installation = self.status(tmp_path, at_s=time.monotonic() - 100)

        assert ["no tap is running"] == [one.text for one in _tap(installation)]
