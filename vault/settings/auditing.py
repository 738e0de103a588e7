"""Settings of the auditor: what it does with the trail, and where it sends it.

Guarantees: what the auditor sends beyond this machine goes where a setting says.
"""

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from vault.audit.anomalies import BusinessHours
from vault.core.errors import InvalidInputError
from vault.settings.kinds import Words


class AuditingSettings(BaseModel):
    """What the auditor does (docs/reference/configuration.md)."""

    model_config = ConfigDict(arbitrary_types_allowed=True, frozen=True)

    audit_start_s: float = Field(default=10.0, ge=0, le=86_400)
    "Under ``serve``: how long after everybody else the auditor is started."
    audit_publish_s: float = Field(default=10.0, ge=1, le=3600)
    "How often what is new of the trail goes to the object store."
    audit_lock_days: int = Field(default=365, ge=0, le=36_500)
    "For how long it is locked there, where the store really locks; 0: not at all."

    audit_business_hours: str = Field(default="Mon-Fri 08:00-18:00", max_length=32)
    "Listening at another time is a hint in the officer's report."
    audit_business_zone: str = Field(default="UTC", max_length=64)
    "The zone of these hours: ``Europe/Berlin``."

    audit_check_entries: int = Field(default=1000, ge=100, le=100_000)
    "Entries that the self-monitor looks at every 10 s, of the new and of the old."

    audit_timestamp_url: str = ""
    "Authority (RFC 3161) that stamps checkpoints; empty: none does."
    audit_timestamp_ca: Path | None = None
    "Roots, in PEM, that its certificate leads to."
    audit_timestamp_interval_s: float = Field(default=3600.0, ge=10, le=604_800)

    audit_witnesses: Words = ()
    "Who cosigns checkpoints: URL, a blank, and verifier key of each."
    audit_witness_quorum: int = Field(default=1, ge=1, le=16)
    "How many of them make a checkpoint a cosigned one."
    audit_witness_interval_s: float = Field(default=60.0, ge=5, le=86_400)
    audit_witness_ca: Path | None = None
    "Roots that their certificates lead to; None: those of this machine."

    @model_validator(mode="after")
    def _time_stamps(self) -> Self:
        if not self.audit_timestamp_url:
            return self
        if self.audit_timestamp_ca is None:
            raise ValueError("audit_timestamp_url needs audit_timestamp_ca")
        from vault.auditor.places import require_service  # noqa: PLC0415 - as below

        try:
            require_service(self.audit_timestamp_url)
        except InvalidInputError as exc:
            raise ValueError(f"audit_timestamp_url: {exc}") from None
        return self

    @model_validator(mode="after")
    def _hours(self) -> Self:
        try:
            self.business_hours()
        except InvalidInputError as exc:
            raise ValueError(f"audit_business_hours: {exc}") from None
        return self

    def business_hours(self) -> BusinessHours:
        """Return when people are expected to work."""
        return BusinessHours.parse(self.audit_business_hours, self.audit_business_zone)

    @model_validator(mode="after")
    def _witnesses(self) -> Self:
        if not self.audit_witnesses:
            return self
        from vault.auditor.places import witnesses  # noqa: PLC0415 - every process reads settings, and few read keys

        try:
            witnesses(self.audit_witnesses, quorum=self.audit_witness_quorum)
        except InvalidInputError as exc:
            raise ValueError(f"audit_witnesses: {exc}") from None
        return self
