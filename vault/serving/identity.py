"""The OpenID provider of the settings, ready to be asked.

Guarantees: files of the client and of roots are read once, before a process gives up
what it does not need; nothing is asked of the provider before somebody signs in.

Left to others: the flow (`vault.access.oidc`), routes (`vault.web.pages.provider`).
"""

from vault.access.ceremonies import Ceremonies
from vault.access.id_tokens import Client
from vault.access.oidc import OidcConfig, OpenIdConnect
from vault.access.provider import ClientProof, Provider
from vault.access.provider_http import ProviderHttp, ProviderHttpConfig
from vault.config import Settings, read_secret
from vault.core.errors import ConfigurationError, InvalidInputError
from vault.core.origins import Origin
from vault.web.pages.frame import SIGN_IN
from vault.web.pages.provider import CALLBACK
from vault.wiring import Installation

_HTTPS = "https://"


def open_id_connect(installation: Installation) -> OpenIdConnect | None:
    """Return the provider of the settings, for signing in; None where none is set.

    Raises:
        ConfigurationError: A setting or a file of it can't be used.
    """
    settings = installation.settings
    if not settings.oidc_issuer:
        return None
    return OpenIdConnect(
        oidc_config(settings),
        provider_of(settings),
        Ceremonies(installation.catalog),
    )


def provider_of(settings: Settings) -> Provider:
    """Return the provider of the settings.

    Raises:
        ConfigurationError: There is none, or a setting or a file can't be used.
    """
    if not settings.oidc_issuer:
        raise ConfigurationError("no OpenID provider: set oidc_issuer")
    secret, key = settings.oidc_client_secret_file, settings.oidc_client_key_file
    return Provider(
        Client(issuer=settings.oidc_issuer, client_id=settings.oidc_client_id),
        ClientProof(
            secret=read_secret(secret) if secret else None,
            key=read_secret(key) if key else None,
        ),
        ProviderHttp(_http_config(settings)),
    )


def oidc_config(settings: Settings) -> OidcConfig:
    """Return what is asked of the provider, and where it leads back to.

    Raises:
        ConfigurationError: The scopes are not those of OpenID Connect.
    """
    if "openid" not in settings.oidc_scopes.split():
        raise ConfigurationError("oidc_scopes: openid must be among them")
    home = str(settings.public_origin)
    return OidcConfig(
        label=settings.oidc_label,
        redirect_uri=home + CALLBACK,
        home_uri=home + SIGN_IN,
        scopes=settings.oidc_scopes,
        name_claim=settings.oidc_name_claim,
        groups_claim=settings.oidc_groups_claim,
        second_factor=frozenset(settings.oidc_second_factor),
        session_max_s=settings.oidc_session_max_s,
    )


def _http_config(settings: Settings) -> ProviderHttpConfig:
    issuer = _origin("oidc_issuer", settings.oidc_issuer)
    if "?" in settings.oidc_issuer or "|" in settings.oidc_issuer:
        raise ConfigurationError("oidc_issuer has no query")
    loopback_http = settings.oidc_loopback_http
    if issuer.scheme != "https" and not (loopback_http and issuer.is_loopback):
        raise ConfigurationError(
            "oidc_issuer must begin with https:// (to try things out on loopback, set "
            "oidc_loopback_http)"
        )
    hosts = [_origin("oidc_hosts", _HTTPS + host) for host in settings.oidc_hosts]
    return ProviderHttpConfig(
        origins=frozenset({issuer, *hosts}),
        private_addresses=settings.oidc_private_addresses,
        loopback_http=loopback_http,
        ca_file=settings.oidc_ca_file,
    )


def _origin(name: str, text: str) -> Origin:
    try:
        origin = Origin.of_url(text)
        return origin if name == "oidc_issuer" else Origin.parse(text)
    except InvalidInputError as exc:
        raise ConfigurationError(f"{name}: {exc}") from None
