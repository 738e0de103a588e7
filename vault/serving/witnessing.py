"""The auditor's duty towards witnesses, as the settings ask for it."""

from vault.audit.checkpoint import Verifier
from vault.audit.source import TrailSource
from vault.auditor.duties import Duty
from vault.wiring import Installation


def witnessing_of(installation: Installation, trail: TrailSource) -> tuple[Duty, ...]:
    """Return the duty; none where the settings name no witness.

    Raises:
        ConfigurationError: The file of roots cannot be read, or there is no log.
    """
    settings = installation.settings
    if not settings.audit_witnesses:
        return ()
    # Loaded where somebody is asked, and by no other auditor.
    from vault.auditor.asking import Asking  # noqa: PLC0415 - see above
    from vault.auditor.cosigned import CosignedNote  # noqa: PLC0415
    from vault.auditor.places import witnesses  # noqa: PLC0415
    from vault.auditor.witnessing import Witnessing  # noqa: PLC0415

    quorum = settings.audit_witness_quorum
    return (
        Witnessing(
            trail=trail,
            verifier=Verifier.parse(installation.verifier_key()),
            witnesses=witnesses(settings.audit_witnesses, quorum=quorum),
            quorum=quorum,
            asking=Asking(ca_file=settings.audit_witness_ca),
            cosigned=CosignedNote(installation.cosigned_folder),
            folder=installation.auditor_folder,
            interval_s=settings.audit_witness_interval_s,
        ),
    )
