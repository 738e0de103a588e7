"""Settings: what is refused, and what the refusal says."""

from pathlib import Path

import pytest

from vault import config
from vault.core.errors import ConfigurationError


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in list(config.os.environ):
        if name.startswith(config.PREFIX) or name == "CREDENTIALS_DIRECTORY":
            monkeypatch.delenv(name)
    for name in config._FROM_SERVICE_MANAGER:
        monkeypatch.delenv(name, raising=False)
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


class TestReference:
    def test_every_setting_has_a_line_in_the_reference(self) -> None:
        page = Path(__file__).resolve().parents[2] / "docs/reference/configuration.md"
        text = page.read_text()

        missing = [
            name for name in config.Settings.model_fields if f"`{name}`" not in text
        ]

        assert missing == []


class TestTheServiceManager:
    def test_without_one_there_is_nothing(self) -> None:
        assert config.ServiceManager() == config.service_manager()

    def test_what_it_says_is_heard_once_and_hidden_from_children(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        own = str(config.os.getpid())
        for name, value in {
            "NOTIFY_SOCKET": "@systemd",
            "WATCHDOG_USEC": "30000000",
            "WATCHDOG_PID": own,
            "FDSTORE": "512",
            "LISTEN_PID": own,
            "LISTEN_FDS": "3",
            "LISTEN_FDNAMES": "one:one:other",
        }.items():
            monkeypatch.setenv(name, value)

        heard, again = config.service_manager(), config.service_manager()

        expected = config.ServiceManager(
            notify="@systemd",
            keeps=512,
            watchdog_s=30.0,
            descriptors=(3, 4, 5),
            names=("one", "one", "other"),
        )
        assert (expected, config.ServiceManager()) == (heard, again)

    @pytest.mark.parametrize("pid", ["", "1", "x"])
    def test_what_is_meant_for_another_process_is_not_taken(
        self, monkeypatch: pytest.MonkeyPatch, pid: str
    ) -> None:
        monkeypatch.setenv("LISTEN_PID", pid)
        monkeypatch.setenv("LISTEN_FDS", "1")
        monkeypatch.setenv("NOTIFY_SOCKET", "/run/notify")
        monkeypatch.setenv("WATCHDOG_USEC", "5000000")
        monkeypatch.setenv("WATCHDOG_PID", "1")

        heard = config.service_manager()

        assert ((), None) == (heard.descriptors, heard.watchdog_s)

    @pytest.mark.parametrize("count", ["-1", "x", "", "99999999999999999999", "1e3"])
    def test_nonsense_is_nothing(
        self, monkeypatch: pytest.MonkeyPatch, count: str
    ) -> None:
        monkeypatch.setenv("LISTEN_PID", str(config.os.getpid()))
        monkeypatch.setenv("LISTEN_FDS", count)
        monkeypatch.setenv("NOTIFY_SOCKET", "relative/path")

        assert config.ServiceManager() == config.service_manager()

    def test_names_that_do_not_fit_are_unknown(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("LISTEN_PID", str(config.os.getpid()))
        monkeypatch.setenv("LISTEN_FDS", "2")
        monkeypatch.setenv("LISTEN_FDNAMES", "one")

        assert ("unknown", "unknown") == config.service_manager().names
