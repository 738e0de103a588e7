"""Duties kept apart as the installation's settings say, for web and commands.

Left to others: what they are (`vault.access.duties`), the changes that there are
(`vault.web.administration`).
"""

from vault.access.duties import Duties, DutiesConfig
from vault.access.factor_key import ReasonKey
from vault.web.administration import CHANGES
from vault.wiring import Installation


def duties_of(installation: Installation, reasons: ReasonKey | None = None) -> Duties:
    """Return the rooms by which duties are kept apart.

    Args:
        installation: Which.
        reasons: What seals reasons of requests; commands read none.
    """
    settings = installation.settings
    return Duties.over(
        installation.catalog,
        CHANGES,
        DutiesConfig(
            dual_control=settings.dual_control,
            approval_pending_s=settings.approval_pending_s,
            approval_use_s=settings.approval_use_s,
            emergency_s=settings.emergency_s,
        ),
        reasons=reasons,
    )
