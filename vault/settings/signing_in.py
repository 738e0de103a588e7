"""Settings of people: sessions, second persons, directories, passwords, providers.

Guarantees: a source of people that could let nobody in, or the wrong ones, is refused.
"""

from pathlib import Path
from typing import Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from vault.access.directory import LDAP, NAME
from vault.access.group_map import GroupMap
from vault.access.ldap import LdapServer, LdapTls
from vault.access.permissions import DualControl
from vault.access.plugins import PLUGIN, is_plugin_name
from vault.access.policy import LOCAL
from vault.settings.kinds import Roles, Words

_ATTRIBUTE: Final = r"^[A-Za-z][A-Za-z0-9;-]{0,63}$"
_CLAIM: Final = r"^[A-Za-z0-9_.:/-]{1,128}$"


class SigningInSettings(BaseModel):
    """How people come in, for how long, and what takes two of them."""

    model_config = ConfigDict(arbitrary_types_allowed=True, frozen=True)

    sign_in_idle_s: int = Field(default=900, ge=60)
    sign_in_max_s: int = Field(default=12 * 3600, ge=300)
    step_up_s: int = Field(default=900, ge=30)
    dual_control: DualControl = DualControl.SELF
    "When a change needs a second person: ``self`` or ``always``."
    approval_pending_s: int = Field(default=24 * 3600, ge=60, le=30 * 24 * 3600)
    "How long a request waits for somebody."
    approval_use_s: int = Field(default=3600, ge=60, le=24 * 3600)
    "How long a recording may be played once it is approved."
    emergency_s: int = Field(default=3600, ge=60, le=24 * 3600)
    "How long a broken glass stays broken."
    sign_in_order: Words = ("local", "ldap")
    "Who is asked about a name without account: ``local``, ``ldap``, ``plugin:NAME``."
    sign_in_max_idle_days: int = Field(default=0, ge=0, le=3650)
    "Accounts unused for so long are shut; 0: none is."
    group_map: dict[str, str] = Field(default_factory=dict)
    "Group → ``role, role, workgroup:NAME``; empty: roles are given here."
    plugins: dict[str, dict[str, Any]] = Field(default_factory=dict)
    "Settings of each plug-in, by its name."

    ldap_url: Words = ()
    "Servers of one directory: ``ldaps://host``, ``ldap://host``.  Empty: none."
    ldap_start_tls: bool = True
    ldap_ca_file: Path | None = None
    ldap_bind_dn: str = ""
    ldap_bind_password_file: Path | None = None
    ldap_direct_bind: str = ""
    "Instead of a service account: ``uid={name},ou=people,dc=…`` or ``{name}@domain``."
    ldap_base: str = ""
    ldap_user_filter: str = Field(default="(objectClass=person)", pattern=r"^\(.*\)$")
    ldap_name_attribute: str = Field(default="uid", pattern=_ATTRIBUTE)
    ldap_id_attribute: str = Field(default="entryUUID", pattern=_ATTRIBUTE)
    ldap_group_base: str = ""
    "Below which groups name their members; empty: ``memberOf`` of each entry."
    ldap_nested_groups: bool = True
    ldap_recheck_s: int = Field(default=60, ge=10, le=3600)
    "Who was disabled in the directory is out after so long at the latest."
    ldap_trust_s: int = Field(default=900, ge=60, le=86_400)
    "How long the directory's word counts while it can't be asked again."

    password_min_score: int = Field(default=3, ge=0, le=4)
    "Of zxcvbn, for new passwords; 0: any that is long enough."
    password_history: int = Field(default=4, ge=0, le=24)
    "How many earlier passwords are refused as new ones."
    password_breach_list: Path | None = None
    password_max_age_days: int = Field(default=0, ge=0, le=3650)
    "0: a password is changed when there is a reason, and not because time passes."

    second_factor_roles: Roles = ()
    "Who holds one of these does nothing before there is a second factor."
    factor_key_file: Path | None = None
    "What seals the secrets of authenticator apps; None: a file in ``data_dir``."

    oidc_issuer: str = ""
    "Empty: nobody signs in by OpenID Connect."
    oidc_client_id: str = Field(default="", max_length=255)
    oidc_client_secret_file: Path | None = None
    oidc_client_key_file: Path | None = None
    "Private key of ``private_key_jwt``, instead of a secret."
    oidc_label: str = Field(default="single sign-on", min_length=1, max_length=40)
    oidc_scopes: str = Field(default="openid profile", pattern=r"^[!-\[\]-~ ]{6,200}$")
    oidc_name_claim: str = Field(default="preferred_username", pattern=_CLAIM)
    oidc_groups_claim: str = Field(default="groups", pattern=_CLAIM)
    oidc_second_factor: Words = ()
    "Values of ``amr`` or ``acr`` that stand for a second factor."
    oidc_hosts: Words = ()
    "Hosts of the provider beside its issuer's: ``host`` or ``host:port``."
    oidc_ca_file: Path | None = None
    oidc_private_addresses: bool = False
    "Whether the provider may be at an address of a private network."
    oidc_loopback_http: bool = False
    "Whether it may be spoken to without TLS, on loopback: to try things out."
    oidc_session_max_s: int = Field(default=4 * 3600, ge=300)

    @model_validator(mode="after")
    def _who_signs_in(self) -> Self:
        GroupMap.parse(self.group_map)
        for source in self.sign_in_order:
            plugin = source.removeprefix(PLUGIN) if source.startswith(PLUGIN) else ""
            if source not in {LOCAL, LDAP} and not is_plugin_name(plugin):
                raise ValueError(f"sign_in_order: {source!r} is no source")
        if len(set(self.sign_in_order)) != len(self.sign_in_order):
            raise ValueError("sign_in_order names a source twice")
        if self.ldap_url:
            self._directory()
        elif LDAP in self.sign_in_order and "sign_in_order" in self.model_fields_set:
            raise ValueError("sign_in_order names ldap: set ldap_url")
        return self

    def _directory(self) -> None:
        tls = LdapTls(start_tls=self.ldap_start_tls)
        for url in self.ldap_url:
            tls.check(LdapServer.parse(url))
        if LDAP not in self.sign_in_order:
            raise ValueError("ldap_url is set, and sign_in_order does not name ldap")
        if not self.ldap_base:
            raise ValueError("ldap_url needs ldap_base, below which people are")
        if bool(self.ldap_bind_dn) != (self.ldap_bind_password_file is not None):
            raise ValueError("ldap_bind_dn and ldap_bind_password_file go together")
        if bool(self.ldap_bind_dn) == bool(self.ldap_direct_bind):
            raise ValueError(
                "ldap_url needs ldap_bind_dn or ldap_direct_bind, not both"
            )
        if self.ldap_trust_s <= self.ldap_recheck_s:
            raise ValueError("ldap_trust_s must be more than ldap_recheck_s")
        if self.ldap_direct_bind and self.ldap_direct_bind.count(NAME) != 1:
            raise ValueError(f"ldap_direct_bind needs {NAME} once")
        if self.ldap_direct_bind and self.sign_in_order[-1] != LDAP:
            # A name that it does not know can't be told from a wrong password.
            raise ValueError("with ldap_direct_bind, ldap is the last in sign_in_order")
