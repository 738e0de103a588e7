"""A vault whose people may sign in at an OpenID provider as well."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from fastapi import FastAPI

from tests.simulators.web_vault import WebVault
from vault.access.ceremonies import Ceremonies
from vault.access.group_map import GroupMap
from vault.access.oidc import OidcConfig, OpenIdConnect
from vault.access.permissions import Role
from vault.access.provider import Provider
from vault.access.provider_sessions import ProviderSessions
from vault.access.provisioning import AccountConfig, Accounts
from vault.access.signin import SignIn, SignInConfig
from vault.access.throttle import Throttle
from vault.web.accounts import tell_account
from vault.web.app import create_web_app
from vault.web.services import Services

GROUP_MAP: Final = {
    "cn=team-leads": "supervisor, workgroup:sales",
    "auditors": "officer",
    "/admins": "administrator",
}


@dataclass(frozen=True, kw_only=True)
class OidcSite:
    """The rooms behind such a vault."""

    vault: WebVault
    services: Services

    def app(self) -> FastAPI:
        """Return the application over them."""
        return create_web_app(self.services, self.vault.config)


def oidc_site(
    vault: WebVault,
    provider: Provider,
    config: OidcConfig,
    *,
    group_map: Mapping[str, str] = GROUP_MAP,
    second_factor_roles: frozenset[Role] = frozenset(),
) -> OidcSite:
    """Return *vault* with a provider in front."""
    services = vault.services()
    accounts = Accounts(
        vault.catalog,
        AccountConfig(group_map=GroupMap.parse(group_map)),
        tell=lambda changed: tell_account(vault.web_client, changed),
        clock=vault.clock,
    )
    sign_in = SignIn(
        vault.catalog,
        authenticators=[],
        accounts=accounts,
        throttle=Throttle(vault.catalog),
        sessions=services.sessions,
        config=SignInConfig(second_factor_roles=second_factor_roles),
    )
    oidc = OpenIdConnect(
        config,
        provider,
        Ceremonies(vault.catalog, clock=vault.clock),
        clock=vault.clock,
    )
    return OidcSite(
        vault=vault,
        services=replace(
            services,
            sign_in=sign_in,
            oidc=oidc,
            provider_sessions=ProviderSessions(vault.catalog, clock=vault.clock),
        ),
    )
