"""``oidc``: what the OpenID provider publishes, and what it has to be told of us.

Guarantees: nothing is changed and nobody is signed in.
"""

import typer

from vault import config
from vault.access.provider import Provider
from vault.commands.output import failures, say
from vault.core.errors import IdentityRefusedError, NotAuthenticatedError
from vault.serving.identity import oidc_config, provider_of
from vault.web.pages.provider import BACK_CHANNEL

oidc = typer.Typer(no_args_is_help=True, help="The OpenID provider people sign in at.")


@oidc.callback()
def _oidc() -> None:
    """Keep ``test`` a sub-command, as long as it is the only one."""


@oidc.command("test")
def oidc_test() -> None:
    """Ask for what the provider publishes, and say what to register there."""
    with failures():
        settings = config.load()
        provider = provider_of(settings)
        asked = oidc_config(settings)
        say(f"redirect URI:            {asked.redirect_uri}")
        say(f"back-channel logout URI: {settings.public_origin}{BACK_CHANNEL}")
        say(f"after signing out:       {asked.home_uri}")
        say(f"client:                  {settings.oidc_client_id}")
        say(f"proves itself by:        {provider.proves_by}")
        try:
            _say_published(provider)
        except IdentityRefusedError as exc:
            # An operator may know what the trail knows.
            raise NotAuthenticatedError(f"{exc}: {exc.reason}") from None
        if not settings.group_map:
            say("group_map is empty: only people who were added here come in")
        say("Works, as far as can be seen without signing in.")


def _say_published(provider: Provider) -> None:
    say(f"issuer:                  {provider.client.issuer}")
    published = provider.metadata()
    say(f"people sign in at:       {published.authorization_endpoint}")
    say(f"userinfo:                {published.userinfo_endpoint or 'none'}")
    say(f"names itself (RFC 9207): {'yes' if published.names_issuer else 'no'}")
    say(f"sign-out there:          {published.end_session_endpoint or 'none'}")
    say(f"keys of use here:        {len(provider.keys())}")
