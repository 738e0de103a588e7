"""Settings: what is refused, and what the refusal says."""

from pathlib import Path

import pytest

from vault import config
from vault.access.permissions import Role
from vault.core.errors import ConfigurationError


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in list(config.os.environ):
        if name.startswith(config.PREFIX) or name == "CREDENTIALS_DIRECTORY":
            monkeypatch.delenv(name)
    monkeypatch.setenv("CALLVAULT_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)


def written(folder: Path, text: str) -> Path:
    file = folder / "callvault.toml"
    file.write_text(text)
    return file


class TestLoad:
    def test_without_anything_every_listener_stays_on_loopback(self) -> None:
        settings = config.load()

        listeners = (
            settings.web_listen,
            settings.forks_listen,
            settings.metrics_listen,
        )

        assert all(listener.is_loopback for listener in listeners)

    def test_passwords_do_not_grow_old_by_themselves(self) -> None:
        assert config.load().password_max_age_days == 0

    def test_the_environment_wins_over_the_file(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        written(tmp_path, 'web_listen = "127.0.0.1:1111"\nsweep_ms = 100\n')
        monkeypatch.setenv("CALLVAULT_WEB_LISTEN", "127.0.0.1:2222")

        settings = config.load()

        assert ("127.0.0.1:2222", 100) == (str(settings.web_listen), settings.sweep_ms)

    def test_an_unknown_key_is_refused_with_the_nearest_name(
        self, tmp_path: Path
    ) -> None:
        written(tmp_path, 'web_lisen = "127.0.0.1:1"\n')

        with pytest.raises(ConfigurationError, match="did you mean web_listen"):
            config.load()

    def test_an_unknown_variable_is_refused_with_the_nearest_name(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CALLVAULT_MEDIA_PORT", "1-2")

        with pytest.raises(ConfigurationError, match="did you mean media_ports"):
            config.load()

    @pytest.mark.parametrize(
        ("name", "value", "said"),
        [
            ("WEB_LISTEN", "0.0.0.0:8080", "tls_cert"),
            ("FORKS_LISTEN", "[::]:8081", "forks_tls_cert"),
            ("WEB_LISTEN", "8080", "ADDRESS:PORT"),
            ("WEB_LISTEN", "127.0.0.1:70000", "at most 65535"),
            ("METRICS_LISTEN", "0.0.0.0:9090", "loopback"),
            ("MEDIA_PORTS", "50000-40000", "LOW < HIGH"),
            ("MEDIA_PORTS", "4000", "LOW-HIGH"),
            ("MEDIA_LISTEN", "example.org", "media_listen"),
            ("SWEEP_MS", "5", "sweep_ms"),
            ("TLS_CERT", "/cert.pem", "go together"),
            ("TAP_NAME", "Tap One", "tap_name"),
        ],
    )
    def test_a_value_that_cannot_work_is_refused_by_name(
        self, monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
    ) -> None:
        monkeypatch.setenv(f"CALLVAULT_{name}", value)

        with pytest.raises(ConfigurationError, match=said):
            config.load()

    def test_beyond_loopback_with_tls_is_fine(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CALLVAULT_WEB_LISTEN", "0.0.0.0:8443")
        monkeypatch.setenv("CALLVAULT_TLS_CERT", "/cert.pem")
        monkeypatch.setenv("CALLVAULT_TLS_KEY", "/key.pem")

        assert "0.0.0.0:8443" == str(config.load().web_listen)

    def test_a_refusal_never_repeats_the_value(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CALLVAULT_SWEEP_MS", "hunter2")

        with pytest.raises(ConfigurationError) as refused:
            config.load()

        assert "hunter2" not in str(refused.value)

    def test_a_named_file_that_is_missing_is_refused(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CALLVAULT_CONFIG", "/nowhere.toml")

        with pytest.raises(ConfigurationError, match="names no file"):
            config.load()

    def test_a_user_without_a_home_needs_a_data_folder(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        def homeless() -> Path:
            raise RuntimeError("Could not determine home directory.")

        monkeypatch.setattr(Path, "home", homeless)
        monkeypatch.delenv("XDG_DATA_HOME", raising=False)
        assert tmp_path / "data" == config.load().data_dir

        monkeypatch.delenv("CALLVAULT_DATA_DIR")
        with pytest.raises(ConfigurationError, match="CALLVAULT_DATA_DIR"):
            config.load()

    def test_the_file_of_another_installation_is_not_read(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        other = tmp_path / "share" / "callvault"
        other.mkdir(parents=True)
        (other / "callvault.toml").write_text("sweep_ms = 100\n")
        monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))

        assert 200 == config.load().sweep_ms

    def test_a_data_folder_of_any_length_has_a_socket_path_that_binds(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CALLVAULT_DATA_DIR", "/" + "long/" * 40)

        assert len(str(config.load().socket_path)) <= 107


class TestPassphrase:
    def test_the_trailing_newline_of_an_editor_does_not_count(
        self, tmp_path: Path
    ) -> None:
        file = tmp_path / "passphrase"
        file.write_bytes(b"correct horse\n")

        assert b"correct horse" == config.read_secret(file).reveal()

    def test_a_file_that_others_may_read_is_refused(self, tmp_path: Path) -> None:
        file = tmp_path / "passphrase"
        file.write_bytes(b"correct horse")
        file.chmod(0o644)

        with pytest.raises(ConfigurationError, match="0600"):
            config.read_secret(file)

    def test_an_empty_file_is_refused(self, tmp_path: Path) -> None:
        file = tmp_path / "passphrase"
        file.write_bytes(b"\n")

        with pytest.raises(ConfigurationError, match="empty"):
            config.read_secret(file)

    def test_the_environment_is_emptied_of_it(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CALLVAULT_PASSPHRASE", "correct horse")

        secret = config.passphrase(config.load())

        assert b"correct horse" == secret.reveal()
        assert "CALLVAULT_PASSPHRASE" not in config.os.environ

    def test_a_systemd_credential_is_taken(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "passphrase").write_bytes(b"from systemd\n")
        monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))

        assert b"from systemd" == config.passphrase(config.load()).reveal()

    def test_none_at_all_names_the_way_out(self) -> None:
        with pytest.raises(ConfigurationError, match="CALLVAULT_PASSPHRASE_FILE"):
            config.passphrase(config.load())


class TestSip:
    def test_by_default_it_listens_here_and_nobody_has_asked_for_it(self) -> None:
        settings = config.load()

        assert "127.0.0.1:5060" == str(settings.sip_listen)
        assert not settings.sip_listen_is_meant

    def test_what_is_written_is_meant_even_where_it_is_the_default(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CALLVAULT_SIP_LISTEN", "127.0.0.1:5060")

        assert config.load().sip_listen_is_meant

    def test_prefixes_come_from_the_environment_and_from_the_file_alike(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        written(tmp_path, 'sip_allow = ["10.0.0.0/8", "::1"]\n')
        monkeypatch.setenv("CALLVAULT_SIP_DENY", "10.1.0.0/16,192.0.2.1")
        settings = config.load()

        assert ("10.0.0.0/8", "::1/128") == settings.sip_allow
        assert ("10.1.0.0/16", "192.0.2.1/32") == settings.sip_deny

    @pytest.mark.parametrize(
        ("name", "value", "said"),
        [
            ("SIP_LISTEN", "tls:127.0.0.1:5061", "sip_tls_cert"),
            ("SIP_LISTEN", "sip.example.net:5060", "udp:, tcp: or tls:"),
            ("SIP_ALLOW", "10.1.2.3/8", "not an address or prefix"),
            ("SIP_TLS_CERT", "/etc/cert.pem", "go together"),
            ("DRAIN_S", "-1", "greater than or equal to 0"),
            ("WEB_ORIGIN", "https://vault.example/path", "an origin ends with"),
            ("WEB_ORIGIN", "vault.example", "write it as https://host"),
            ("OIDC_ISSUER", "https://login.example", "needs oidc_client_id"),
        ],
    )
    def test_what_cannot_work_stops_the_process(
        self, monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
    ) -> None:
        monkeypatch.setenv(f"CALLVAULT_{name}", value)

        with pytest.raises(ConfigurationError, match=said):
            config.load()


class TestPublicOrigin:
    @pytest.mark.parametrize(
        ("settings", "expected"),
        [
            ({}, "http://127.0.0.1:8080"),
            ({"WEB_LISTEN": "[::1]:80"}, "http://[::1]"),
            ({"WEB_LISTEN": "127.0.0.1:0"}, None),
            ({"TLS_CERT": "/c", "TLS_KEY": "/k"}, "https://127.0.0.1:8080"),
            (
                {"TLS_CERT": "/c", "TLS_KEY": "/k", "WEB_LISTEN": "0.0.0.0:8443"},
                None,
            ),
            ({"WEB_ORIGIN": "https://Vault.example:443"}, "https://vault.example"),
        ],
    )
    def test_is_guessed_on_loopback_alone(
        self,
        monkeypatch: pytest.MonkeyPatch,
        settings: dict[str, str],
        expected: str | None,
    ) -> None:
        for name, value in settings.items():
            monkeypatch.setenv(f"CALLVAULT_{name}", value)

        assert expected == config.load().public_origin

    def test_signing_in_elsewhere_needs_it(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        beyond = {
            "TLS_CERT": "/c",
            "TLS_KEY": "/k",
            "WEB_LISTEN": "0.0.0.0:8443",
            "OIDC_ISSUER": "https://login.example",
            "OIDC_CLIENT_ID": "callvault",
        }
        for name, value in beyond.items():
            monkeypatch.setenv(f"CALLVAULT_{name}", value)

        with pytest.raises(ConfigurationError, match="needs web_origin"):
            config.load()


DIRECTORY = {
    "LDAP_URL": "ldaps://ldap.example.org, ldap://[2001:db8::1]:1389",
    "LDAP_BASE": "ou=people,dc=example,dc=org",
    "LDAP_BIND_DN": "cn=callvault,dc=example,dc=org",
    "LDAP_BIND_PASSWORD_FILE": "/etc/callvault/ldap-password",
}


class TestSecondFactors:
    @pytest.mark.parametrize(
        ("settings", "expected"),
        [
            ({}, {"http://127.0.0.1:8080", "http://localhost:8080"}),
            (
                {"WEB_ORIGIN": "https://vault.example"},
                {"https://vault.example", "http://localhost:8080"},
            ),
            ({"TLS_CERT": "/c", "TLS_KEY": "/k", "WEB_LISTEN": "0.0.0.0:443"}, set()),
        ],
    )
    def test_passkeys_belong_to_the_address_that_is_set_and_to_this_machine(
        self,
        monkeypatch: pytest.MonkeyPatch,
        settings: dict[str, str],
        expected: set[str],
    ) -> None:
        for name, value in settings.items():
            monkeypatch.setenv(f"CALLVAULT_{name}", value)

        assert expected == set(config.load().passkey_origins)

    def test_roles_are_words_with_commas(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CALLVAULT_SECOND_FACTOR_ROLES", "officer, administrator")

        assert (Role.OFFICER, Role.ADMINISTRATOR) == config.load().second_factor_roles

    def test_a_role_that_is_none_stops_the_process(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CALLVAULT_SECOND_FACTOR_ROLES", "officer, emperor")

        with pytest.raises(ConfigurationError, match="second_factor_roles"):
            config.load()


class TestSources:
    def test_servers_and_order_are_words_with_commas(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name, value in DIRECTORY.items():
            monkeypatch.setenv(f"CALLVAULT_{name}", value)
        monkeypatch.setenv("CALLVAULT_SIGN_IN_ORDER", "ldap, plugin:x-1, local")
        settings = config.load()

        assert ("ldap", "plugin:x-1", "local") == settings.sign_in_order
        assert 2 == len(settings.ldap_url)

    def test_tables_come_from_the_file(self, tmp_path: Path) -> None:
        written(
            tmp_path,
            """
            [group_map]
            "cn=listeners,dc=example,dc=org" = "supervisor, workgroup:Claims"
            [plugins.htpasswd]
            file = "/srv/people"
            """,
        )
        settings = config.load()

        assert {"htpasswd": {"file": "/srv/people"}} == settings.plugins
        assert ["cn=listeners,dc=example,dc=org"] == [*settings.group_map]

    @pytest.mark.parametrize(
        ("changed", "said"),
        [
            ({"LDAP_URL": "http://ldap.example.org"}, "ldap_url"),
            ({"LDAP_URL": "ldaps://ldap.example.org/dc=x"}, "ldap_url"),
            ({"LDAP_URL": "ldaps://cn:secret@ldap.example.org"}, "ldap_url"),
            ({"LDAP_URL": "ldaps://ldap.example.org:x"}, "ldap_url"),
            ({"LDAP_START_TLS": "false"}, "in the clear"),
            ({"LDAP_BASE": ""}, "ldap_base"),
            ({"LDAP_BIND_DN": ""}, "go together"),
            ({"LDAP_DIRECT_BIND": "uid={name}"}, "not both"),
            ({"LDAP_USER_FILTER": "objectClass=*"}, "ldap_user_filter"),
            ({"LDAP_NAME_ATTRIBUTE": "uid=*)(x"}, "ldap_name_attribute"),
            ({"LDAP_TRUST_S": "60"}, "ldap_trust_s"),
            ({"SIGN_IN_ORDER": "local"}, "does not name ldap"),
            ({"SIGN_IN_ORDER": "ldap,ldap"}, "twice"),
            ({"SIGN_IN_ORDER": "ldap,radius"}, "no source"),
            ({"SIGN_IN_ORDER": "ldap,plugin:../x"}, "no source"),
            ({"LDAP_URL": "", "SIGN_IN_ORDER": "ldap"}, "set ldap_url"),
            ({"GROUP_MAP": '{"x": "emperor"}'}, "emperor"),
        ],
        ids=str,
    )
    def test_what_cannot_be_meant_is_refused(
        self, monkeypatch: pytest.MonkeyPatch, changed: dict[str, str], said: str
    ) -> None:
        for name, value in (DIRECTORY | changed).items():
            monkeypatch.setenv(f"CALLVAULT_{name}", value)

        with pytest.raises(ConfigurationError, match=said) as caught:
            config.load()
        assert "secret" not in str(caught.value)

    @pytest.mark.parametrize(
        ("template", "order", "said"),
        [
            ("uid=ann,dc=x", "local,ldap", "once"),
            ("{name}{name}", "local,ldap", "once"),
            ("{name}@example.org", "ldap,local", "the last"),
        ],
    )
    def test_a_direct_bind_has_its_own_conditions(
        self, monkeypatch: pytest.MonkeyPatch, template: str, order: str, said: str
    ) -> None:
        direct = {
            "LDAP_URL": "ldaps://ldap.example.org",
            "LDAP_BASE": "dc=x",
            "LDAP_DIRECT_BIND": template,
            "SIGN_IN_ORDER": order,
        }
        for name, value in direct.items():
            monkeypatch.setenv(f"CALLVAULT_{name}", value)

        with pytest.raises(ConfigurationError, match=said):
            config.load()


class TestReference:
    def test_every_setting_has_a_line_in_the_reference(self) -> None:
        page = Path(__file__).resolve().parents[2] / "docs/reference/configuration.md"
        text = page.read_text()

        missing = [
            name for name in config.Settings.model_fields if f"`{name}`" not in text
        ]

        assert missing == []
