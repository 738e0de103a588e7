"""The rooms by which duties are kept apart, made together over one database.

Left to others: everything; each member says what it guarantees.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

from sqlalchemy import Engine

from vault.access.approvals import ApprovalConfig, Approvals
from vault.access.changes import Change
from vault.access.classes import Classes
from vault.access.emergency import Emergencies
from vault.access.factor_key import ReasonKey
from vault.access.permissions import DualControl
from vault.access.rights import Rights
from vault.access.second_person import SecondPerson
from vault.core.clock import Clock, system_clock_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class DutiesConfig:
    """How strict, and how long."""

    dual_control: DualControl = DualControl.SELF
    approval_pending_s: float = 24 * 3600
    "Seconds that a request waits for somebody."

    approval_use_s: float = 3600
    "Seconds for which a recording may be played once it is approved."

    emergency_s: float = 3600
    "Seconds after which a broken glass is whole again."


@dataclass(frozen=True, slots=True, kw_only=True)
class Duties:
    """Rights, classes, approvals and emergencies; all thread-safe."""

    rights: Rights
    classes: Classes
    approvals: Approvals
    second_person: SecondPerson
    emergencies: Emergencies

    @classmethod
    def over(
        cls,
        engine: Engine,
        kinds: Iterable[type[Change[Any]]],
        config: DutiesConfig | None = None,
        *,
        reasons: ReasonKey | None = None,
        clock: Clock = system_clock_ns,
    ) -> Self:
        """Return them over the catalog, with the changes that may wait.

        Args:
            engine: Of the catalog.
            kinds: The changes.
            config: How strict, and how long.
            reasons: What seals reasons of requests; without it none is read.
            clock: Wall clock.
        """
        chosen = config or DutiesConfig()
        approvals = Approvals(
            engine,
            ApprovalConfig(
                pending_s=chosen.approval_pending_s, use_s=chosen.approval_use_s
            ),
            reasons=reasons,
            clock=clock,
        )
        return cls(
            rights=Rights(engine, clock=clock),
            classes=Classes(engine),
            approvals=approvals,
            second_person=SecondPerson(
                engine, approvals, kinds, needed=chosen.dual_control, clock=clock
            ),
            emergencies=Emergencies(engine, lasts_s=chosen.emergency_s, clock=clock),
        )
