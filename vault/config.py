"""Settings: ``callvault.toml`` and ``CALLVAULT_*``, read once, checked at start.

Guarantees: an unknown key, a contradiction or a listener beyond loopback without
TLS stops the process with a message that names the key and the way out; no secret
has a default, and none is kept here longer than it takes to hand it over.

Left to others: making things of it (`vault.wiring`), what a service manager says
(`vault.serving.service_manager`).  No room imports settings.
"""

import difflib
import hashlib
import ipaddress
import os
import stat
import tomllib
from pathlib import Path
from typing import Any, Final, Self

from pydantic import (
    Field,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from vault.core.errors import ConfigurationError
from vault.core.secrets import SecretBytes
from vault.settings.auditing import AuditingSettings
from vault.settings.listening import ListeningSettings
from vault.settings.signing_in import SigningInSettings
from vault.settings.streaming import StreamingSettings

PREFIX: Final = "CALLVAULT_"
# Read here and not by pydantic: where the file lies, and the passphrase itself.
_SPECIAL: Final = frozenset({"config", "passphrase"})
_PORT_MAX: Final = 65_535
GIB: Final = 1 << 30
_SUN_PATH_BYTES: Final = 107
_ATTRIBUTE: Final = r"^[A-Za-z][A-Za-z0-9;-]{0,63}$"
_CLAIM: Final = r"^[A-Za-z0-9_.:/-]{1,128}$"


def _default_folder() -> Path:
    try:
        base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    except RuntimeError:
        raise ConfigurationError(
            "this user has no home folder: set CALLVAULT_DATA_DIR"
        ) from None
    return Path(base) / "callvault"


class Settings(
    ListeningSettings,
    SigningInSettings,
    AuditingSettings,
    StreamingSettings,
    BaseSettings,
):
    """Every setting, by the name it has in ``callvault.toml``.

    ``CALLVAULT_`` plus the name in capitals sets the same thing and wins.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, extra="forbid", arbitrary_types_allowed=True, frozen=True
    )

    data_dir: Path = Field(default_factory=_default_folder)
    passphrase_file: Path | None = None

    media_listen: str = "127.0.0.1"
    media_advertise: str | None = None
    media_ports: str = "40000-49999"
    media_workers: int = Field(default=0, ge=0, le=64)
    "Media worker processes; 0 means one per core, at most 4."
    media_streams_per_worker: int = Field(default=3500, ge=1, le=100_000)
    sweep_ms: int = Field(default=200, ge=20, le=1000)

    database_url: str = ""
    "Empty: two SQLite files in ``data_dir``.  Else ``postgresql://…``."
    database_password_file: Path | None = None
    objects_url: str = ""
    "Empty: a folder in ``data_dir``.  Else ``file:/folder`` or ``s3://host:port/bucket``."
    objects_access_key_file: Path | None = None
    objects_secret_key_file: Path | None = None

    spool_dir: Path | None = None
    spool_quota_bytes: int = Field(default=20 * GIB, ge=1 << 20)
    spool_reserve_bytes: int = Field(default=256 << 20, ge=1 << 20)
    spool_emergency_bytes: int = Field(default=64 << 20, ge=0, le=1 << 34)
    "Allocated beforehand, for running calls that meet a full disk."
    ship_bytes_per_s: int = Field(default=0, ge=0)
    "Octets per second that one process sends to an s3 store; 0 means no limit."

    session_idle_s: int = Field(default=1800, ge=10)
    "A call without a packet for so long ends as ``timeout``."
    session_max_s: int = Field(default=24 * 3600, ge=60)
    clock_tolerance_s: int = Field(default=300, ge=1)
    silence_alarm_s: int = Field(default=10, ge=0)
    "A running call without an authentic packet for so long is an alarm; 0: never."
    one_way_alarm_s: int = Field(default=30, ge=0)
    "So is a party that is not heard for so long while another one is."
    pause_max_s: int = Field(default=900, ge=0, le=86_400)
    "A pause ends by itself after so long at the latest; 0: never."
    keep_dtmf_digits: bool = False
    "Capture RFC 4733 packets, too: whoever may open a capture can read the digits."
    mute_dtmf_tones: bool = False
    "Silence DTMF tones in what is made to be played."
    keyring_memory_mib: int = Field(default=256, ge=19, le=4096)
    password_memory_mib: int = Field(default=64, ge=8, le=1024)
    audit_origin: str = Field(default="callvault/audit", pattern=r"[!-*,-~]{1,100}")
    tap_name: str = Field(default="tap-1", pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")

    warden_socket: Path | None = None
    warden_roles: dict[str, str] = Field(default_factory=dict)
    'Unix uid → role, for processes that run apart: ``{"990" = "tap"}``.'

    @field_validator("media_listen", "media_advertise", "sip_advertise")
    @classmethod
    def _is_an_address(cls, value: str | None) -> str | None:
        return value and str(ipaddress.ip_address(value))

    @field_validator("media_ports")
    @classmethod
    def _is_a_port_range(cls, value: str) -> str:
        low, _, high = value.partition("-")
        if not (low.isdigit() and high.isdigit()):
            raise ValueError("write it as LOW-HIGH, for example 40000-49999")
        if not 1024 <= int(low) < int(high) <= _PORT_MAX:  # noqa: PLR2004 - below are the privileged ports
            raise ValueError("needs 1024 <= LOW < HIGH <= 65535")
        return value

    @model_validator(mode="after")
    def _open_id_connect(self) -> Self:
        if not self.oidc_issuer:
            return self
        if not self.oidc_client_id:
            raise ValueError("oidc_issuer needs oidc_client_id")
        if self.oidc_client_secret_file and self.oidc_client_key_file:
            raise ValueError(
                "oidc_client_secret_file and oidc_client_key_file: one of them"
            )
        if self.public_origin is None:
            raise ValueError("oidc_issuer needs web_origin, the address of the pages")
        return self

    @property
    def media_port_range(self) -> tuple[int, int]:
        """Lowest and highest media port, both included."""
        low, _, high = self.media_ports.partition("-")
        return int(low), int(high)

    @property
    def spool_folder(self) -> Path:
        """Where sealed octets wait for the store."""
        return self.spool_dir or self.data_dir / "spool"

    @property
    def socket_path(self) -> Path:
        """Where the warden listens for processes that were not started by serve."""
        place = self.warden_socket or self.data_dir / "run" / "warden.sock"
        if len(os.fsencode(place)) <= _SUN_PATH_BYTES:
            return place
        # The kernel takes 107 octets.  Both ends find the same short place; who
        # binds there makes sure that the folder is theirs alone.
        digest = hashlib.sha256(os.fsencode(place)).hexdigest()[:16]
        base = Path(os.environ.get("XDG_RUNTIME_DIR") or "/tmp")  # noqa: S108 - see above
        return base / f"callvault-{os.geteuid()}-{digest}" / "warden.sock"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let the environment win over the file; read nothing else."""
        del settings_cls, dotenv_settings, file_secret_settings
        return env_settings, init_settings


def load() -> Settings:
    """Read the settings of this process.

    Raises:
        ConfigurationError: Unknown, missing or contradictory settings; the
            message names each.
    """
    names = sorted(Settings.model_fields)
    for variable in os.environ:
        if variable.startswith(PREFIX):
            _refuse_unknown(variable.removeprefix(PREFIX).lower(), names, variable)
    file = _file()
    written = _toml(file) if file else {}
    for key in written:
        _refuse_unknown(key, names, f"{key} in {file}")
    try:
        return Settings(**written)
    except ValidationError as exc:
        # Values stay out of the message: one of them may be a URL with a secret.
        faults = "; ".join(
            f"{''.join(f'{part}: ' for part in fault['loc'])}"
            f"{fault['msg'].removeprefix('Value error, ')}"
            for fault in exc.errors(include_input=False, include_url=False)
        )
        raise ConfigurationError(f"settings: {faults}") from None


def _refuse_unknown(name: str, names: list[str], shown: str) -> None:
    if name in names or name in _SPECIAL:
        return
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.4)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise ConfigurationError(f"unknown setting {shown}{hint}")


def _file() -> Path | None:
    named = os.environ.get(PREFIX + "CONFIG")
    if named:
        if not Path(named).is_file():
            raise ConfigurationError(f"CALLVAULT_CONFIG names no file: {named}")
        return Path(named)
    folder = os.environ.get(PREFIX + "DATA_DIR")
    # A folder that is named is this installation's; the default one is another's.
    own = Path(folder) if folder else _default_folder()
    places = [own / "callvault.toml", Path("callvault.toml")]
    return next((place for place in places if place.is_file()), None)


def _toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
        raise ConfigurationError(f"{file} cannot be read: {exc}") from None


def passphrase(settings: Settings) -> SecretBytes:
    """Return the passphrase of the keyring.

    In this order: the file that is named, a systemd credential called
    ``passphrase``, the environment (removed from it at once), and the file that
    ``init`` wrote.

    Raises:
        ConfigurationError: None of them, or a file that others may read.
    """
    if settings.passphrase_file:
        return read_secret(settings.passphrase_file)
    credentials = os.environ.get("CREDENTIALS_DIRECTORY")
    if credentials and (Path(credentials) / "passphrase").is_file():
        return SecretBytes(
            (Path(credentials) / "passphrase").read_bytes().rstrip(b"\n")
        )
    spoken = os.environ.pop(PREFIX + "PASSPHRASE", "")
    if spoken:
        return SecretBytes(spoken.encode())
    written = settings.data_dir / "passphrase"
    if written.is_file():
        return read_secret(written)
    raise ConfigurationError(
        "no passphrase: set CALLVAULT_PASSPHRASE_FILE to a file with mode 0600"
    )


def read_secret(file: Path) -> SecretBytes:
    """Read a secret from a private file; one trailing newline does not count.

    Raises:
        ConfigurationError: Missing, empty, or readable by group or others.
    """
    try:
        with file.open("rb") as opened:
            mode = os.fstat(opened.fileno()).st_mode
            if stat.S_IMODE(mode) & 0o077:
                raise ConfigurationError(
                    f"{file} must have mode 0600 or 0400: chmod 600 {file}"
                )
            octets = opened.read(1 << 16)
    except OSError as exc:
        raise ConfigurationError(
            f"{file} cannot be read: {exc.strerror or exc}"
        ) from None
    octets = octets.removesuffix(b"\n").removesuffix(b"\r")
    if not octets:
        raise ConfigurationError(f"{file} is empty")
    return SecretBytes(octets)
