"""What sources bring about in accounts, as the trail is told of it.

Guarantees: ids, slugs and counts stand readable; names, roles and workgroups before
and after are sealed beside the log.

Left to others: bringing it about (`vault.access.provisioning`).
"""

from vault.access.provisioning import AccountChanged
from vault.audit.entry import Action, Draft
from vault.core.flow import Actor, ActorKind, Caller
from vault.trust.interfaces import Trail

_WEB = Caller(actor=Actor(kind=ActorKind.PROCESS, id="web"))


def tell_account(trail: Trail, changed: AccountChanged) -> None:
    """Write down what a source said of somebody.

    Raises:
        AuditUnavailableError: It is not durable: nothing may change.
    """
    person = changed.after.person
    drafts = [
        Draft(
            action=Action.ACCESS_WORKGROUP_ADDED,
            caller=_WEB,
            detail={"workgroup": group.id},
            text={"after": group.name},
        )
        for group in changed.workgroups_made
    ]
    if changed.is_out:
        drafts.append(
            Draft(
                action=Action.ACCESS_SESSION_ENDED,
                caller=_WEB,
                detail={
                    "user": person.id,
                    "how": "source",
                    "source": person.source,
                    "count": changed.sessions_ended + changed.tokens_revoked,
                },
            )
        )
    else:
        is_new = changed.before is None
        drafts.append(
            Draft(
                action=Action.ACCESS_USER_ADDED
                if is_new
                else Action.ACCESS_USER_CHANGED,
                caller=_WEB,
                detail={
                    "user": person.id,
                    "source": person.source,
                    "role": ".".join(sorted(person.roles)) or "none",
                },
                text=changed.texts(),
            )
        )
    trail.append(*drafts)
