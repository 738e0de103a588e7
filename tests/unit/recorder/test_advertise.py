import pytest

from vault.core.flow import Device
from vault.core.ids import DeviceId
from vault.recorder.advertise import advertised
from vault.recorder.config import RecorderConfig


@pytest.mark.parametrize(
    ("device", "advertise", "listen", "address"),
    [
        ("192.0.2.1", "192.0.2.2", "127.0.0.1", "192.0.2.1"),
        (None, "192.0.2.2", "127.0.0.1", "192.0.2.2"),
        (None, "", "127.0.0.1", "127.0.0.1"),
        (None, "", "::1", "::1"),
    ],
)
def test_the_device_goes_first_then_the_tap_then_the_socket(
    device: str | None, advertise: str, listen: str, address: str
) -> None:
    config = RecorderConfig(media_advertise=advertise, media_listen=listen)
    pbx = Device(id=DeviceId("d"), name="pbx", media_advertise=device)

    assert address == advertised(pbx, config, "127.0.0.1")
