from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from vault.access.device_changes import taken_away
from vault.access.devices import DeviceChanged, DeviceListed
from vault.commands import devices
from vault.core.errors import InvalidInputError
from vault.core.flow import Allowance, Device
from vault.core.ids import DeviceId


@pytest.mark.parametrize(
    "words",
    [
        "set x",
        "set x --address 10.0.0.1 --no-address",
        "set x --media-address 10.0.0.1 --no-media-address",
        "set x --media-advertise 10.0.0.1 --no-media-advertise",
        "set x --allow plain-rtp --no-allow",
        "set x --certificate y --no-certificate",
        "set x --max-calls many",
        "set x --allow everything",
        "allow x",
        "allow x plain-rtp --none",
        "renew",
    ],
)
def test_what_could_be_misread_is_wrong_use(words: str) -> None:
    done = CliRunner().invoke(devices.device, words.split())

    assert 2 == done.exit_code


def test_every_allowance_says_what_it_costs() -> None:
    assert set(Allowance) == set(devices._UNSAFE)


def test_a_certificate_is_a_file_or_a_fingerprint(tmp_path: Path) -> None:
    like = "ab" * 32

    assert like == devices._fingerprint(f"sha256:{like}")
    for text in (str(tmp_path), str(tmp_path / "nothing"), "sha256:zz"):
        with pytest.raises(InvalidInputError):
            devices._fingerprint(text)


def test_what_a_new_list_takes_away_is_said() -> None:
    def listed(**lists: Any) -> DeviceListed:
        device = Device(id=DeviceId("1"), name="sbc", **lists)
        return DeviceListed(device=device, token_sha256=b"", revoked=False)

    before = listed(
        allowances=frozenset({Allowance.MD5_DIGEST}), addresses=("192.0.2.0/24",)
    )
    after = listed(
        allowances=frozenset({Allowance.PLAIN_RTP}), addresses=("192.0.2.0/24",)
    )

    assert ["md5-digest"] == taken_away(DeviceChanged(before=before, after=after))
    assert [] == taken_away(DeviceChanged(before=after, after=after))
