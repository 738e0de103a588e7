"""A real OpenID Provider on loopback: panva's oidc-provider, behind TLS.

Its own code is tests/peers/oidc-provider/provider.js.  Where node or its packages are
not to be had, the tests that need it are skipped with the reason.
"""

import json
import shutil
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
from joserfc.jwk import ECKey, RSAKey

from tests.simulators.ports import free_port
from tests.simulators.tls_certificates import Certified

_FOLDER: Final = Path(__file__).parents[1] / "peers" / "oidc-provider"
_INSTALL_S: Final = 120
_READY_S: Final = 60
CLIENT_ID: Final = "callvault"
CLIENT_SECRET: Final = "a secret:of+the client/ and more"


@dataclass(frozen=True, kw_only=True)
class ProviderPerson:
    """Somebody who has an account at the provider."""

    login: str
    sub: str
    name: str
    groups: Sequence[str] = ()
    amr: Sequence[str] = ("pwd",)
    secret: str = "open sesame, please"


@dataclass(frozen=True, kw_only=True)
class RunningProvider:
    """The provider, and how to reach it."""

    issuer: str
    ca_file: Path
    people: Mapping[str, ProviderPerson]


@dataclass(frozen=True, kw_only=True)
class ProviderSetup:
    """What the provider is told before it starts."""

    home: str
    "The vault's public origin."
    people: Sequence[ProviderPerson]
    client: Mapping[str, Any] = field(default_factory=dict)
    "Over what the client is otherwise."
    claims_in_id_token: bool = False
    port: int = field(default_factory=free_port)

    @property
    def issuer(self) -> str:
        """Its issuer: another site than the vault's 127.0.0.1."""
        return f"https://localhost:{self.port}"


@contextmanager
def running_provider(folder: Path, setup: ProviderSetup) -> Iterator[RunningProvider]:
    """Give a provider that serves, and stop it at the end."""
    _install()
    root = Certified.make("root of the tests", is_ca=True)
    ca_file, _ = root.write(folder, "root")
    cert, key = Certified.make("localhost", issuer=root).write(folder, "provider")
    config = folder / "provider.json"
    config.write_text(json.dumps(_configuration(setup, cert, key)))
    process = subprocess.Popen(
        ["node", "--no-warnings", "provider.js", config],
        cwd=_FOLDER,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    ready, told = threading.Event(), list[str]()

    def listen() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            told.append(line)
            if line.strip() == "ready":
                ready.set()

    listening = threading.Thread(target=listen, name="oidc-provider")
    listening.start()
    try:
        assert ready.wait(_READY_S), "the provider did not start: " + "".join(told)
        yield RunningProvider(
            issuer=setup.issuer,
            ca_file=ca_file,
            people={one.login: one for one in setup.people},
        )
    finally:
        process.kill()
        process.wait()
        listening.join()
        if process.stdout is not None:
            process.stdout.close()
    assert [line for line in told if "rror" in line] == [], "".join(told)


def _install() -> None:
    if shutil.which("node") is None:
        pytest.skip("no node (Debian: apt-get install nodejs npm)")
    if (_FOLDER / "node_modules" / "oidc-provider").is_dir():
        return
    if shutil.which("npm") is None:
        pytest.skip("no npm, and the packages of the OpenID provider are not there")
    done = subprocess.run(
        ["npm", "ci", "--no-audit", "--no-fund"],
        cwd=_FOLDER,
        capture_output=True,
        text=True,
        timeout=_INSTALL_S,
        check=False,
    )
    if done.returncode != 0:
        pytest.skip("npm could not install the OpenID provider")


def _configuration(setup: ProviderSetup, cert: Path, key: Path) -> dict[str, Any]:
    client = {
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "redirect_uris": [f"{setup.home}/sign-in/oidc/callback"],
        "post_logout_redirect_uris": [f"{setup.home}/sign-in"],
        "backchannel_logout_uri": f"{setup.home}/sign-in/oidc/back-channel-logout",
        "backchannel_logout_session_required": True,
        "token_endpoint_auth_method": "client_secret_basic",
        "response_types": ["code"],
        "grant_types": ["authorization_code"],
        "scope": "openid profile groups",
    }
    client |= setup.client
    keys = (
        RSAKey.generate_key(2048, {"kid": "rsa", "use": "sig", "alg": "RS256"}),
        ECKey.generate_key("P-256", {"kid": "ec", "use": "sig", "alg": "ES256"}),
    )
    return {
        "issuer": setup.issuer,
        "port": setup.port,
        "tls": {"cert": str(cert), "key": str(key)},
        "clients": [{name: it for name, it in client.items() if it is not None}],
        "jwks": {"keys": [one.as_dict(private=True) for one in keys]},
        "conformIdTokenClaims": not setup.claims_in_id_token,
        "people": [
            {
                "login": one.login,
                "sub": one.sub,
                "name": one.name,
                "groups": list(one.groups),
                "amr": list(one.amr),
                "secret": one.secret,
            }
            for one in setup.people
        ],
    }
