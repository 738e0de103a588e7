"""``callvault openapi``: what the API takes and answers, for programs."""

from typing import Annotated, cast

import typer

from vault.commands.output import show_json
from vault.forks.app import create_forks_app
from vault.forks.interfaces import DeviceDirectory, SessionDesk
from vault.forks.openapi import forks_document
from vault.web.openapi import web_document


def openapi(
    *,
    forks: Annotated[
        bool, typer.Option("--forks", help="The API that PBXes speak.")
    ] = False,
) -> None:
    """Print the OpenAPI document of the API."""
    if not forks:
        show_json(web_document())
        return
    # Routes are described and never asked here: there is nobody to record.
    app = create_forks_app(cast("SessionDesk", None), cast("DeviceDirectory", None))
    show_json(forks_document(app))
