"""Changes of who may do what, for API and pages: made, or kept for somebody else.

    done = Changes(services, asker).run(GiveRight(new=…))
    if isinstance(done, Asked): …      # 202: it waits for somebody else
    else: done.value                   # 200 or 201: it is made

Whoever adds a kind of change writes it as a `vault.access.changes.Change` and names it
in `CHANGES`; that it is compared, kept, read back and made is here already.

Guarantees:
    * Only who holds the change's right asks for it.
    * Nobody opens a call to themselves alone, whatever way the change takes.
    * What is made or kept is on the trail before it counts: ids readable, the words
      before and after sealed.

Left to others: the comparison (`vault.access.second_person`), saying yes or no
(`vault.web.approving`), HTTP.

Spec: docs/adr/0017-rights-and-second-person.md
"""

from collections.abc import Mapping
from typing import Any, Final, TypeVar

from vault.access.changes import Change, Done
from vault.access.people_changes import (
    AddPerson,
    GiveCode,
    ReopenPerson,
    SetPerson,
    ShutPerson,
)
from vault.access.policy_changes import (
    AddWorkgroup,
    GiveRight,
    PutClass,
    RemoveClass,
    RevokeRight,
    SetWorkgroup,
)
from vault.access.second_person import Asked
from vault.audit.entry import Action, Draft
from vault.web.classifying import ClassifyRecording
from vault.web.identity import Asker, insist
from vault.web.services import Services

R = TypeVar("R")

CHANGES: Final[tuple[type[Change[Any]], ...]] = (
    GiveRight,
    RevokeRight,
    PutClass,
    RemoveClass,
    AddWorkgroup,
    SetWorkgroup,
    ClassifyRecording,
    AddPerson,
    SetPerson,
    ShutPerson,
    ReopenPerson,
    GiveCode,
)
"Every kind of change that may have to wait."


class Changes:
    """Makes changes for one asker."""

    def __init__(self, services: Services, asker: Asker) -> None:
        self._services = services
        self._asker = asker

    def run(
        self, change: Change[R], *, text: Mapping[str, str] | None = None
    ) -> Done[R] | Asked:
        """Make *change*, or keep it until another person agrees.

        Args:
            change: What, of a kind in `CHANGES`.
            text: What the person typed besides, sealed on the trail.

        Raises:
            AccessDeniedError: The asker does not hold the change's right.
            StepUpRequiredError: It asks for a fresh proof.
            AuditUnavailableError: The leaf is not durable: nothing was changed.
            VaultError: The change can't be made as things are.
        """
        insist(self._services, self._asker, change.right, kind=change.kind)
        return self.run_checked(change, text=text)

    def run_checked(
        self, change: Change[R], *, text: Mapping[str, str] | None = None
    ) -> Done[R] | Asked:
        """Do as `run` where the caller has asked the policy, over one recording."""
        said = dict(text or {})
        return self._services.duties.second_person.run(
            change,
            asker=self._asker.session.user_id,
            tell=lambda done: self._append(change_draft(self._asker, change, done)),
            ask=lambda asked, would: self._append(
                Draft(
                    action=Action.ACCESS_APPROVAL_REQUESTED,
                    caller=self._asker.caller,
                    recording=would.recording,
                    right=change.right,
                    detail=approval_detail(asked) | dict(would.detail),
                    text=dict(would.text) | said,
                )
            ),
        )

    def _append(self, draft: Draft) -> None:
        self._services.warden.append(draft)


def change_draft(
    asker: Asker, change: Change[R], done: Done[R], *, approval: str = ""
) -> Draft:
    """Return the leaf of a change that is made."""
    beside = {"approval": approval} if approval else {}
    return Draft(
        action=done.action,
        caller=asker.caller,
        recording=done.recording,
        right=change.right,
        detail=dict(done.detail) | beside,
        text=done.text,
    )


def approval_detail(asked: Asked) -> dict[str, str | int]:
    """Return what is readable on the trail of a change that waits, or waited."""
    return {
        "approval": asked.approval.id,
        "kind": asked.change.kind,
        "permissions": "/".join(sorted(map(str, asked.gains))),
        "user": asked.approval.asked.requester_id,
    }
