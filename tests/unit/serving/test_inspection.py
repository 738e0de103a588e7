import os
from pathlib import Path

import pytest

from vault.config import Settings
from vault.serving.inspection import Finding, _disk, _is_ours, _parts, _warden
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
    (tmp_path / "catalog.sqlite").write_bytes(b"this is no database" * 100)

    findings = {one.text.partition(":")[0]: one for one in _parts(Installation(settings(tmp_path)))}  # fmt: skip

    assert findings["catalog database"].level == "error"
    assert findings["roster"].level == "error"
    assert "callvault init" in findings["roster"].text
    assert {"audit database", "object store"} <= findings.keys()


def test_a_warden_that_does_not_serve_is_a_warning(tmp_path: Path) -> None:
    found = _warden(settings(tmp_path, warden_socket=tmp_path / "none.sock"))

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
