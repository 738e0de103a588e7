"""The document of the fork API: current, and nothing without a device's token."""

import json
from pathlib import Path

from vault.forks.openapi import forks_document

COMMITTED = Path(__file__).parents[3] / "docs/reference/api/forks.openapi.json"


def test_the_committed_document_is_current(api) -> None:  # noqa: ANN001 - of conftest
    """scripts/make-openapi renews it."""
    assert json.loads(COMMITTED.read_text()) == forks_document(api.app)


def test_every_route_asks_for_the_token_of_a_device(api) -> None:  # noqa: ANN001 - of conftest
    document = forks_document(api.app)

    assert {"bearer"} == {
        scheme
        for methods in document["paths"].values()
        for operation in methods.values()
        for one in operation["security"] or [{"nothing": []}]
        for scheme in one
    }
