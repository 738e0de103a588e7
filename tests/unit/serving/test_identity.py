"""The provider of the settings: what can't be used stops the process at start."""

from collections.abc import Callable
from pathlib import Path

import pytest

from vault import config
from vault.core.errors import ConfigurationError
from vault.serving.identity import oidc_config, open_id_connect, provider_of
from vault.wiring import Installation

Load = Callable[..., config.Settings]
SOUND = {
    "OIDC_ISSUER": "https://login.example/realms/staff",
    "OIDC_CLIENT_ID": "callvault",
}


@pytest.fixture
def settings_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Load:
    for name in list(config.os.environ):
        if name.startswith(config.PREFIX):
            monkeypatch.delenv(name)
    monkeypatch.setenv("CALLVAULT_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)

    def load(**settings: str) -> config.Settings:
        for name, value in settings.items():
            monkeypatch.setenv(f"CALLVAULT_{name}", value)
        return config.load()

    return load


def test_without_an_issuer_there_is_none(settings_of: Load) -> None:
    settings = settings_of()

    assert open_id_connect(Installation(settings)) is None
    with pytest.raises(ConfigurationError, match="set oidc_issuer"):
        provider_of(settings)


def test_the_addresses_to_register_are_made_of_the_pages_origin(
    settings_of: Load,
) -> None:
    asked = oidc_config(settings_of(**SOUND, WEB_ORIGIN="https://vault.example"))

    assert (
        "https://vault.example/sign-in/oidc/callback",
        "https://vault.example/sign-in",
    ) == (asked.redirect_uri, asked.home_uri)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"OIDC_ISSUER": "http://login.example"}, "must begin with https"),
        ({"OIDC_ISSUER": "http://127.0.0.1:9"}, "must begin with https"),
        ({"OIDC_ISSUER": "https://login.example/?tenant=1"}, "no query"),
        ({"OIDC_ISSUER": "https://user@login.example"}, "write it as https"),
        ({"OIDC_ISSUER": "login.example"}, "write it as https"),
        ({"OIDC_HOSTS": "keys.example/path"}, "oidc_hosts"),
        ({"OIDC_HOSTS": "https://keys.example"}, "oidc_hosts"),
        ({"OIDC_SCOPES": "profile"}, "openid must be among them"),
        ({"OIDC_CA_FILE": "/nowhere.pem"}, "oidc_ca_file"),
        ({"OIDC_CLIENT_SECRET_FILE": "/nowhere"}, "cannot be read"),
    ],
)
def test_what_can_not_be_used_stops_the_process(
    settings_of: Load, changes: dict[str, str], said: str
) -> None:
    settings = settings_of(**SOUND | changes)

    with pytest.raises(ConfigurationError, match=said):
        (provider_of(settings), oidc_config(settings))


@pytest.mark.parametrize("content", ["", "not a key", "-----BEGIN PRIVATE KEY-----"])
def test_a_key_that_is_none_stops_the_process(
    settings_of: Load, tmp_path: Path, content: str
) -> None:
    file = tmp_path / "key.pem"
    file.write_text(content)
    file.chmod(0o600)

    with pytest.raises(ConfigurationError):
        provider_of(settings_of(**SOUND, OIDC_CLIENT_KEY_FILE=str(file)))


def test_loopback_without_tls_is_for_who_has_asked_for_it(settings_of: Load) -> None:
    settings = settings_of(
        OIDC_ISSUER="http://127.0.0.1:9",
        OIDC_CLIENT_ID="callvault",
        OIDC_LOOPBACK_HTTP="true",
    )

    assert "none" == provider_of(settings).proves_by


def test_hosts_beside_the_issuers_are_known(settings_of: Load) -> None:
    provider = provider_of(settings_of(**SOUND, OIDC_HOSTS="a.example, b.example:8443"))

    permitted = [
        provider._http.permits(url)
        for url in (
            "https://login.example/token",
            "https://a.example/token",
            "https://b.example:8443/token",
            "https://b.example/token",
        )
    ]

    assert [True, True, True, False] == permitted
