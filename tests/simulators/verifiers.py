"""The two verifiers of an audit export, behind one call each.

A verdict is ``verified``, or ``entry N`` for the first entry that cannot be trusted,
so that a test can say that both agree.
"""

import io
import re
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType
from typing import Final

from vault.audit.verify import verify_export
from vault.core.errors import TrailBrokenError

SCRIPT: Final = Path(__file__).parents[2] / "scripts" / "verify-trail"
VERIFIED: Final = "verified"


def callvault(octets: bytes, vkey: str, previous: str | None = None) -> str:
    """Verify with `vault.audit.verify`."""
    try:
        verify_export(io.BytesIO(octets), vkey, previous)
    except TrailBrokenError as exc:
        return _verdict(str(exc))
    return VERIFIED


class Script:
    """``scripts/verify-trail``, loaded once for tests that run it thousands of times."""

    def __init__(self, *, own_ed25519: bool = False) -> None:
        loader = SourceFileLoader("verify_trail", str(SCRIPT))
        spec = spec_from_loader("verify_trail", loader)
        assert spec is not None
        self.module: ModuleType = module_from_spec(spec)
        loader.exec_module(self.module)
        own, library = self.module.own_ed25519, self.module.library_ed25519()
        self.check = own if own_ed25519 else library

    def __call__(self, octets: bytes, vkey: str, previous: str | None = None) -> str:
        run = self.module.Export(self.module.Key(vkey, self.check), previous)
        try:
            run.read(io.BytesIO(octets))
        except self.module.Broken as exc:
            return _verdict(str(exc))
        return VERIFIED


def program(
    file: Path, vkey: str, *arguments: str
) -> "subprocess.CompletedProcess[str]":
    """Run the script as an officer does, cut off from every package of ours."""
    return subprocess.run(
        [sys.executable, "-I", str(SCRIPT), str(file), "--key", vkey, *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=file.parent,
    )


def program_verdict(file: Path, vkey: str, *arguments: str) -> str:
    """Return the verdict of the script by its exit status and its message."""
    done = program(file, vkey, *arguments)
    if done.returncode == 0:
        return VERIFIED
    assert done.returncode == 1, done.stderr
    return _verdict(done.stderr)


def _verdict(message: str) -> str:
    found = re.search(r"line \d+, (entry \d+): ", message)
    assert found is not None, message
    return found.group(1)
