"""Which of the auditor's duties anchor and check the trail, put together.

Guarantees: nothing is contacted here; what the auditor may not read once it is
confined (credentials, the log's key) is read here.

Left to others: what the duties do (`vault.auditor`).
"""

from collections.abc import Callable

from vault.audit.checkpoint import Verifier
from vault.audit.source import TrailSource
from vault.auditor.anchor_check import AnchorCheck
from vault.auditor.asking import Asking
from vault.auditor.cosigned import CosignedNote
from vault.auditor.duties import Duty
from vault.auditor.memory import Memory
from vault.auditor.monitoring import Monitoring, MonitoringConfig
from vault.auditor.publishing import Publishing, PublishingConfig
from vault.core.errors import NotFoundError, TrailBrokenError
from vault.objects.keys import ObjectKey
from vault.trust.client import WardenClient
from vault.wiring import Installation


def anchoring_duties(
    installation: Installation, trail: TrailSource, warden: WardenClient
) -> tuple[Duty, ...]:
    """Return the duties that publish the log of *trail* and look at it."""
    settings, folder = installation.settings, installation.auditor_folder
    verifier = Verifier.parse(installation.verifier_key())
    store, stamps = installation.stores.trail, stamp_check(installation)
    publishing = Publishing(
        trail,
        store,
        verifier=verifier,
        memory=Memory(folder / "publishing.json"),
        config=PublishingConfig(
            interval_s=settings.audit_publish_s, lock_days=settings.audit_lock_days
        ),
        cosigned=CosignedNote(installation.cosigned_folder).read,
    )
    monitoring = Monitoring(
        trail,
        warden,
        verifier=verifier,
        anchors=lambda key: AnchorCheck(store, key, stamps=stamps),
        memory=Memory(folder / "monitoring.json"),
        config=MonitoringConfig(entries_per_round=settings.audit_check_entries),
    )
    return (publishing, monitoring, *_stamping(installation, publishing))


def _stamping(installation: Installation, publishing: Publishing) -> tuple[Duty, ...]:
    settings = installation.settings
    if not settings.audit_timestamp_url or settings.audit_timestamp_ca is None:
        return ()
    # Loaded here: who has no checkpoints stamped needs none of it.
    from vault.auditor.stamping import Stamping  # noqa: PLC0415
    from vault.auditor.timestamps import TimeStamps  # noqa: PLC0415

    stamping = Stamping(
        url=settings.audit_timestamp_url,
        asking=Asking(ca_file=None),
        stamps=TimeStamps(settings.audit_timestamp_ca),
        newest=lambda: publishing.kept,
        read=installation.stores.trail.read,
        keep=publishing.keep,
        interval_s=settings.audit_timestamp_interval_s,
    )
    return (stamping,)


def stamp_check(installation: Installation) -> Callable[[ObjectKey, bytes], str]:
    """Return what says whether the time stamp of a kept checkpoint is wrong.

    Nothing is wrong with a checkpoint that has none; without roots nobody can tell.

    Raises:
        ConfigurationError: The roots cannot be read.
    """
    roots = installation.settings.audit_timestamp_ca
    if roots is None:
        return lambda _key, _octets: ""
    from vault.auditor.timestamps import TimeStamps  # noqa: PLC0415 - as above

    stamps, store = TimeStamps(roots), installation.stores.trail

    def problem(key: ObjectKey, octets: bytes) -> str:
        try:
            stamps.check(store.read(key), octets)
        except NotFoundError:
            return ""
        except TrailBrokenError as exc:
            return str(exc)
        return ""

    return problem
