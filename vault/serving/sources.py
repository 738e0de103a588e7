"""Where people come from: the sources that the settings name, in their order.

Guarantees: what is named and can't be made stops the process at start.

Left to others: asking them (`vault.access.signin`, `vault.access.standing`).
"""

from collections.abc import Mapping
from typing import Final

from sqlalchemy import Engine

from vault.access.authenticators import Authenticator, Standing
from vault.access.directory import LDAP, Directory, DirectoryConfig
from vault.access.group_map import GroupMap
from vault.access.ldap import LdapServer, LdapTls
from vault.access.local import LocalPeople
from vault.access.password_rules import PasswordRules, PasswordRulesConfig
from vault.access.passwords import Passwords
from vault.access.plugins import PLUGIN, load_plugin
from vault.access.policy import LOCAL
from vault.access.provisioning import AccountConfig
from vault.access.signin import SignInConfig
from vault.config import Settings, read_secret
from vault.core.errors import ConfigurationError

_DAY_S: Final = 86_400
_REFUSAL_STEP_S: Final = 0.25


def sources(
    settings: Settings, engine: Engine, passwords: Passwords
) -> tuple[Authenticator, ...]:
    """Return the sources in the order in which they are asked.

    Raises:
        ConfigurationError: One of them can't be made.
    """
    made: list[Authenticator] = []
    for name in settings.sign_in_order:
        if name == LOCAL:
            made.append(LocalPeople(engine, passwords))
        elif name == LDAP:
            if settings.ldap_url:
                made.append(directory(settings))
        else:
            plugin = name.removeprefix(PLUGIN)
            table: Mapping[str, object] = settings.plugins.get(plugin, {})
            made.append(load_plugin(plugin, table))
    return tuple(made)


def directory(settings: Settings) -> Directory:
    """Return the directory.

    Raises:
        ConfigurationError: There is none, or its files can't be used.
    """
    if not settings.ldap_url:
        raise ConfigurationError("no directory: set ldap_url")
    tls = LdapTls(ca_file=settings.ldap_ca_file, start_tls=settings.ldap_start_tls)
    file = settings.ldap_bind_password_file
    return Directory(
        DirectoryConfig(
            servers=tuple(LdapServer.parse(url) for url in settings.ldap_url),
            tls=tls,
            base=settings.ldap_base,
            user_filter=settings.ldap_user_filter,
            name_attribute=settings.ldap_name_attribute,
            id_attribute=settings.ldap_id_attribute,
            bind_dn=settings.ldap_bind_dn,
            bind_password=None if file is None else read_secret(file),
            direct_bind=settings.ldap_direct_bind,
            group_base=settings.ldap_group_base,
            nested_groups=settings.ldap_nested_groups,
        )
    )


def password_rules(settings: Settings, passwords: Passwords) -> PasswordRules:
    """Return what is asked of new passwords.

    Raises:
        ConfigurationError: The list of breached passwords is not one.
    """
    return PasswordRules(
        passwords,
        PasswordRulesConfig(
            min_score=settings.password_min_score,
            history=settings.password_history,
            breach_list=settings.password_breach_list,
        ),
    )


def account_config(
    settings: Settings, authenticators: tuple[Authenticator, ...]
) -> AccountConfig:
    """Return what sources may bring about."""
    return AccountConfig(
        group_map=GroupMap.parse(settings.group_map),
        max_idle_s=settings.sign_in_max_idle_days * _DAY_S,
        max_password_age_s=settings.password_max_age_days * _DAY_S,
        trust_s=settings.ldap_trust_s,
        rechecked=frozenset(
            one.name for one in authenticators if isinstance(one, Standing)
        ),
    )


def sign_in_config(
    settings: Settings, authenticators: tuple[Authenticator, ...]
) -> SignInConfig:
    """Return what signing in asks for, and how refusals look."""
    is_alone = {one.name for one in authenticators} == {LOCAL}
    return SignInConfig(
        second_factor_roles=frozenset(settings.second_factor_roles),
        refusal_step_s=0.0 if is_alone else _REFUSAL_STEP_S,
    )
