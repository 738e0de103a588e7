"""Where an account's password can be kept: what a source is called, and what it needs.

Guarantees: an account that nobody could ever come into is refused when it is made.
"""

from vault.access.authenticators import NAMES_PROVE_NOTHING
from vault.access.directory import LDAP
from vault.access.plugins import PLUGIN, is_plugin_name
from vault.access.policy import LOCAL
from vault.core.errors import InvalidInputError


def check_source(source: str, external_id: str) -> None:
    """Insist on a source, and on what it has to say about a person beforehand.

    Raises:
        InvalidInputError: No source is called that, or the id is missing or too much.
    """
    plugin = source.removeprefix(PLUGIN) if source.startswith(PLUGIN) else ""
    if source not in {LOCAL, LDAP, *NAMES_PROVE_NOTHING} and not is_plugin_name(plugin):
        raise InvalidInputError("a source is local, ldap, oidc or plugin:NAME")
    if source == LOCAL and external_id:
        raise InvalidInputError("only people of another source have an id there")
    if source in NAMES_PROVE_NOTHING and not external_id:
        raise InvalidInputError(f"people choose their names at {source}: give their id")
