import pytest

from vault.core.errors import ConfigurationError
from vault.sip.config import SipConfig
from vault.sip.peers import Transport


@pytest.mark.parametrize(
    "settings",
    [
        {"listen": ((Transport.UDP, "127.0.0.1", 65536),)},
        {"listen": ((Transport.TLS, "127.0.0.1", 5061),)},
        {"address_rate": 0},
        {"stranger_rate": -1},
    ],
)
def test_settings_that_cannot_be_meant_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError):
        SipConfig(**settings)  # type: ignore[arg-type]


def test_nothing_listens_by_default() -> None:
    assert ((), False) == (SipConfig().listen, SipConfig().has_tls)
