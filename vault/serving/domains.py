"""What each process that serves may still open, run and reach, as a table.

    .                    web          tap            worker            auditor
    catalog/             changes      changes        changes
    objects/             reads (1)    changes        changes           its trail/
    spool/                            changes
    tap/                              changes
    auditor/                                                           changes
    run/tap/             reads        meets (2)
    run/auditor/         reads                                         changes
    run/roster/                       reads          reads
    TLS and other files  reads        reads (3)                        reads (3)
    programs                          Python (4)
    listens at           web_listen   forks, sip
    connects to          any          any            database, store,  any
                                                     DNS
    signals others                    yes (5)

Everybody reads Python, the code, system libraries, ``/etc`` and ``/proc`` (which shows
nothing of a process outside: Landlock refuses it like a debugger).  Nobody but the
warden and commands opens ``keys/``, ``audit/``, the passphrase and the keys that
others sign with, whichever folder they lie in.

1. And changes the folder in which readiness probes the store.
2. Makes Unix sockets there.
3. Of its own listeners; the auditor those of its peers.
4. For media workers and the syncer, which inherit the domain.
5. Workers that an earlier tap has started are met again, and not in its domain.

Guarantees: what a role is not given here it cannot have; what could not be had of
this is returned, for readiness and log.

Left to others: how it is enforced (`vault.confine`).
"""

import os
import ssl
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from vault import confine
from vault.config import Settings
from vault.wiring import Installation

Role = Literal["web", "tap", "worker", "auditor"]

_SYSTEM: Final = (
    "/usr/share",
    # As a whole: files like resolv.conf are replaced, and a rule is about one file.
    "/etc",
    "/run/systemd/resolve",
    "/run/NetworkManager",
    "/run/resolvconf",
    "/proc",
    "/sys/devices/system/cpu",
    "/dev/urandom",
    "/dev/random",
)
_NULL: Final = Path("/dev/null")
_DNS: Final = 53
_DEFAULT_PORTS: Final = {"postgresql": 5432, "s3": 443}
_FILES_OF: Final = {
    "tap": ("tls_", "forks_tls_", "sip_tls_"),
    "worker": (),
    "auditor": ("audit_",),
}
"Which settings name files that a process reads while it serves."
_NOT_OF_WEB: Final = (
    *(
        "audit_",
        "data_",
        "database_",
        "factor_key_",
        "forks_",
        "objects_",
        "passphrase_",
    ),
    *("sip_", "spool_", "warden_"),
)
_LIBPQ_FILES: Final = frozenset({"sslrootcert", "sslcert", "sslkey", "sslcrl"})


def enter_domain(role: Role, installation: Installation) -> tuple[str, ...]:
    """Give up what *role* does not need, for good, before there is a second thread.

    Returns:
        What could not be had, as short phrases.
    """
    return confine.enter(domain_of(role, installation))


def domain_of(role: Role, installation: Installation) -> confine.Domain:
    """Return the domain of *role*; folders of its own that are missing are made."""
    folder, settings = installation.folder, installation.settings
    never = tuple(_never(role, installation))
    common = (
        *confine.interpreter_reads(),
        *map(Path, _SYSTEM),
        *_trusted(settings),
    )
    reads = [
        each for path in common for each in confine.outside(path, (folder, *never))
    ]
    changes: list[Path] = []
    catalog = installation.databases.folder("catalog")
    if catalog and role != "auditor":
        changes.append(catalog)
    objects = _objects(installation)
    match role:
        case "web":
            told = (installation.tap_status_path, installation.auditor_status_path)
            reads += [objects, *(one.parent for one in told)]
            reads += _files_of_web(settings)
            changes += objects.glob("*/.incoming")
        case "tap":
            reads += [*_roster(installation), *_files_named(role, settings)]
            changes += [objects, settings.spool_folder, folder / "tap"]
        case "worker":
            reads += _roster(installation)
            changes += [objects]
        case "auditor":
            reads += _files_named(role, settings)
            changes += [objects / "trail", installation.auditor_folder]
            changes += [installation.auditor_status_path.parent]
    meets = (folder / "run" / "tap",) if role == "tap" else ()
    for one in (*changes, *meets):
        with suppress(OSError):  # what is missing is then found missing
            one.mkdir(mode=0o700, parents=True, exist_ok=True)
    return confine.Domain(
        reads=tuple(reads),
        lists=confine.interpreter_lists(),
        changes=tuple(changes),
        meets=meets,
        writes=(_NULL,),
        runs=confine.interpreter_runs() if role == "tap" else (),
        never=never,
        binds=_listens(role, settings),
        connects=_connects(settings) if role == "worker" else None,
        signals=role == "tap",
        abstract_sockets=role == "tap" and _notifies_by_name(),
    )


def _never(role: Role, installation: Installation) -> Iterator[Path]:
    folder, settings = installation.folder, installation.settings
    if installation.keyring_path.is_file():
        # Apart from the warden, a folder of this name holds the roster alone.
        yield installation.keyring_path.parent
    yield installation.keyring_path
    yield installation.warden_lock
    yield folder / "keys" / "log-mark.json"
    yield folder / "passphrase"
    if settings.passphrase_file:
        yield settings.passphrase_file
    if credentials := os.environ.get("CREDENTIALS_DIRECTORY"):
        yield Path(credentials, "passphrase")
    if audit := installation.databases.folder("audit"):
        yield audit
        yield from (audit / f"audit.sqlite{end}" for end in ("", "-wal", "-shm"))
    if role != "tap":
        yield folder / "tap" / "manifest.key"
    yield folder / "worker" / "addendum.key"
    # Read by web before it is confined.
    yield installation.factor_key_path
    if settings.factor_key_file:
        yield settings.factor_key_file


def _objects(installation: Installation) -> Path:
    url = urlsplit(installation.settings.objects_url)
    if url.scheme == "file":
        return Path(unquote(url.path))
    return installation.folder / "objects"


def _roster(installation: Installation) -> list[Path]:
    return [installation.readable_roster.roster.parent]


def _files_named(role: str, settings: Settings) -> Iterator[Path]:
    for name in type(settings).model_fields:
        if name.startswith(_FILES_OF[role]):
            yield from _renewed(getattr(settings, name), settings)


def _files_of_web(settings: Settings) -> Iterator[Path]:
    # Sign-in brings files of its own: roots, secrets of clients, lists.
    for name in type(settings).model_fields:
        if not name.startswith(_NOT_OF_WEB):
            yield from _renewed(getattr(settings, name), settings)
    for table in settings.plugins.values():
        for value in table.values():
            if isinstance(value, str) and value.startswith("/"):
                yield from _renewed(Path(value), settings)


def _renewed(named: object, settings: Settings) -> Iterator[Path]:
    """Give *named*, if it is a file, with the folder in which it is replaced."""
    if not isinstance(named, Path):
        return
    yield named
    own = settings.data_dir.resolve()
    # Where a link lies and where it leads: that is how certificates are renewed.
    for folder in {named.absolute().parent, named.resolve().parent}:
        if folder not in {own, *own.parents, Path.home()}:
            yield folder


def _trusted(settings: Settings) -> Iterator[Path]:
    """Give where roots for TLS, and what libpq reads, may lie."""
    found = ssl.get_default_verify_paths()
    for name in (found.cafile, found.capath, os.environ.get("SSL_CERT_FILE")):
        if name:
            yield Path(name)
    url = urlsplit(settings.database_url)
    if url.scheme.startswith("postgresql"):
        with suppress(RuntimeError):
            yield Path.home() / ".postgresql"
        for name, value in parse_qsl(url.query):
            if name in _LIBPQ_FILES:
                yield Path(value)


def _listens(role: Role, settings: Settings) -> tuple[int, ...]:
    if role == "web":
        return (settings.web_listen.port,)
    if role in {"worker", "auditor"}:
        return ()
    tls = settings.tls_for("sip")[0] is not None
    sip = (one.port for one in settings.sip_listen.listeners(tls=tls))
    return (settings.forks_listen.port, *sip)


def _connects(settings: Settings) -> tuple[int, ...] | None:
    """Return the ports of database, store and name servers; None: not known."""
    ports = {_DNS}
    for text in (settings.database_url, settings.objects_url):
        url = urlsplit(text)
        scheme = url.scheme.partition("+")[0]
        if scheme in _DEFAULT_PORTS:
            if {"host", "port", "service"} & dict(parse_qsl(url.query)).keys():
                return None
            ports.add(url.port or _DEFAULT_PORTS[scheme])
    return tuple(sorted(ports))


def _notifies_by_name() -> bool:
    return os.environ.get("NOTIFY_SOCKET", "").startswith("@")
