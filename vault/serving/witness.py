"""The witness process: a port, a folder and a key; nothing of an installation.

Guarantees:
    * Beyond loopback it speaks TLS, or only with the proxies that were named.
    * It is confined to its folder and its port, and connects to nobody.

Left to others: what is cosigned (`vault.witness`), options (`vault.commands`).
"""

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from vault import confine, process
from vault.audit import notes
from vault.audit.checkpoint import Verifier
from vault.audit.cosignature import CosignatureSigner
from vault.config import read_secret
from vault.core.endpoints import Endpoint
from vault.core.errors import ConfigurationError
from vault.core.prefixes import Prefixes
from vault.edge.config import EdgeConfig
from vault.edge.gate import Gate
from vault.edge.origin import origin_of
from vault.edge.problems import ADDRESS_REFUSED, refuse
from vault.serving import http, logs
from vault.serving.listener import ConnectionLimits
from vault.serving.tls import server_context
from vault.witness.app import witness_app
from vault.witness.judging import Witness, by_origin
from vault.witness.keys import new_key, parse_key
from vault.witness.memory import Memory

KEY_FILE: Final = "witness.key"
MAX_LOGS: Final = 1000

_REQUESTS_PER_MINUTE: Final = 600
_CONNECTIONS: Final = ConnectionLimits(total=500, per_address=50)
_ANSWER_WITHIN_S: Final = 15.0
_SYSTEM: Final = ("/etc", "/usr/share", "/proc", "/dev/urandom", "/dev/random")


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessConfig:
    """What a witness is told at start."""

    folder: Path
    name: str
    "Empty: that of the key which is there."
    logs: tuple[Verifier, ...]
    listen: Endpoint
    tls_cert: Path | None = None
    tls_key: Path | None = None
    trusted_proxies: tuple[str, ...] = ()
    "Prefixes; with them and without TLS, nobody else is answered."

    def __post_init__(self) -> None:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ConfigurationError("a certificate and its key go together")
        if not self.is_protected:
            raise ConfigurationError(
                f"{self.listen} reaches beyond this machine: give --tls-cert and "
                "--tls-key, or --trusted-proxy for a proxy that speaks TLS"
            )
        if not 0 < len(self.logs) <= MAX_LOGS:
            raise ConfigurationError(f"name 1 to {MAX_LOGS} logs by their keys")

    @property
    def is_protected(self) -> bool:
        """Whether nobody on the way can read along."""
        return (
            self.listen.is_loopback
            or self.tls_cert is not None
            or bool(self.trusted_proxies)
        )


def witness_key(folder: Path, name: str) -> CosignatureSigner:
    """Return the key in *folder*, which is made if there is none.

    Args:
        folder: The witness's own; made if missing, for its owner alone.
        name: What the witness is called; empty: as the key says.

    Raises:
        ConfigurationError: A key of another name, no name for a new one, or a file
            that others may read or that cannot be made.
    """
    path = folder / KEY_FILE
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            if not name:
                raise ConfigurationError(
                    "a new witness needs --name, for example witness.example/w1"
                )
            _make(path, new_key(name).reveal())
    except OSError as exc:
        raise ConfigurationError(f"{path} cannot be made ({exc.strerror})") from None
    signer = parse_key(read_secret(path))
    if name and signer.cosigner.name != name:
        raise ConfigurationError(
            f"the key in {path} is that of {signer.cosigner.name}: another witness "
            "needs another folder"
        )
    return signer


def logs_in(file: Path) -> list[str]:
    """Return the verifier keys in *file*, one a line; ``#`` begins a remark.

    Raises:
        ConfigurationError: It cannot be read.
    """
    try:
        lines = file.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigurationError(f"{file} cannot be read ({exc})") from None
    kept = (line.partition("#")[0].strip() for line in lines)
    return [line for line in kept if line]


def serve_witness(config: WitnessConfig, *, started: Callable[[], None]) -> None:
    """Be a witness until SIGTERM.

    Raises:
        ConfigurationError: The port is taken, or a file is not as it should be.
        ConflictError: Another process has the folder.
    """
    signer = witness_key(config.folder, config.name)
    tls = None
    if config.tls_cert and config.tls_key:
        tls = server_context(config.tls_cert, config.tls_key, name="witness")
    memory = Memory(config.folder)
    listener = http.bound(config.listen, _CONNECTIONS, name="--listen")
    # What lies elsewhere has been read; from here on there are folder and port.
    logs.say_gaps((*process.harden(), *confine.enter(_domain(config))))
    witness = Witness(logs=by_origin(config.logs), signer=signer, memory=memory)
    try:
        asyncio.run(
            http.serve_on(
                listener, _answering(witness, config), tls=tls, started=started
            )
        )
    finally:
        memory.close()


def _answering(witness: Witness, config: WitnessConfig) -> ASGIApp:
    gate = Gate(
        witness_app(witness),
        EdgeConfig(
            requests_per_minute=_REQUESTS_PER_MINUTE,
            trusted_proxies=config.trusted_proxies,
            max_body_bytes=2 * notes.MAX_NOTE_CHARS,
            answer_within_s=_ANSWER_WITHIN_S,
        ),
    )
    if config.tls_cert or config.listen.is_loopback:
        return gate
    proxies = Prefixes.parse(config.trusted_proxies)

    async def through_proxies(scope: Scope, receive: Receive, send: Send) -> None:
        # Asked of the peer itself, before a proxy's word about its client counts.
        if scope["type"] == "http" and origin_of(scope) not in proxies:
            await refuse(ADDRESS_REFUSED, send)
            return
        await gate(scope, receive, send)

    return through_proxies


def _domain(config: WitnessConfig) -> confine.Domain:
    return confine.Domain(
        reads=(*confine.interpreter_reads(), *map(Path, _SYSTEM)),
        lists=confine.interpreter_lists(),
        changes=(config.folder,),
        writes=(Path(os.devnull),),
        binds=(config.listen.port,),
    )


def _make(path: Path, octets: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
        file.write(octets)
        file.flush()
        os.fsync(file.fileno())
