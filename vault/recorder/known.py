"""One consistent view of the world, and the copy of it on a tap's disk.

Guarantees: `parse_known` reads what `known_members` wrote; what a copy of an older
version does not say is empty.

Left to others: where the view comes from, its file and its mode
(`vault.recorder.snapshot`).
"""

from dataclasses import dataclass
from typing import Final

from vault.access.address_rules import AddressRule, checked_rule
from vault.access.devices import DeviceListed
from vault.access.extensions import Extension
from vault.access.workgroups import WorkgroupSnapshot
from vault.core import canonical
from vault.core.errors import InvalidInputError
from vault.core.ids import ExtensionId, UserId, WorkgroupId
from vault.recorder.device_members import device_members, parse_device
from vault.sealing.roster import Roster

_NOBODY: Final = WorkgroupSnapshot(workgroups={}, agents={})


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """One consistent view."""

    devices: tuple[DeviceListed, ...] = ()
    people: WorkgroupSnapshot = _NOBODY
    extensions: tuple[Extension, ...] = ()
    address_rules: tuple[AddressRule, ...] = ()
    taken_ns: int = 0
    "When the database was last asked with success; 0 for never."
    roster: Roster | None = None
    roster_version: int = 0
    "The highest seen, also by processes before this one."


def known_members(known: Known) -> canonical.JsonObject:
    """Return the JSON members of *known*, the roster apart."""
    return {
        "v": 1,
        "roster_version": known.roster_version,
        "devices": [device_members(listed) for listed in known.devices],
        "workgroups": dict(known.people.workgroups),
        "agents": dict(known.people.agents),
        "extensions": [
            {
                "id": one.id,
                "pattern": one.pattern,
                "agent": one.agent,
                "workgroup": one.workgroup,
            }
            for one in known.extensions
        ],
        "address_rules": [
            {"listener": one.listener, "verdict": one.verdict, "prefix": one.prefix}
            for one in known.address_rules
        ],
    }


def parse_known(members: canonical.JsonObject) -> Known:
    """Read what `known_members` wrote, and ``taken`` beside it.

    Raises:
        InvalidInputError: Something else.
    """
    devices, groups = members.get("devices"), members.get("workgroups")
    agents, version = members.get("agents"), members.get("roster_version")
    # Absent from the copy of an older version.
    extensions = members.get("extensions", [])
    rules = members.get("address_rules", [])
    if (
        members.get("v") != 1
        or not isinstance(devices, list)
        or not isinstance(groups, dict)
        or not isinstance(agents, dict)
        or not isinstance(version, int)
        or not isinstance(extensions, list)
        or not isinstance(rules, list)
    ):
        raise InvalidInputError("not a snapshot of ours")
    try:
        return Known(
            devices=tuple(parse_device(each) for each in devices),
            people=WorkgroupSnapshot(
                workgroups={k: WorkgroupId(str(v)) for k, v in groups.items()},
                agents={k: UserId(str(v)) for k, v in agents.items()},
            ),
            extensions=tuple(_extension(each) for each in extensions),
            address_rules=tuple(_address_rule(each) for each in rules),
            taken_ns=int(str(members.get("taken"))),
            roster_version=version,
        )
    except ValueError:
        raise InvalidInputError("not a snapshot of ours") from None


def _extension(members: object) -> Extension:
    if not isinstance(members, dict):
        raise InvalidInputError("not a snapshot of ours")
    return Extension(
        id=ExtensionId(str(members.get("id"))),
        pattern=str(members.get("pattern")),
        agent=str(members.get("agent")),
        workgroup=str(members.get("workgroup")),
    )


def _address_rule(members: object) -> AddressRule:
    if not isinstance(members, dict):
        raise InvalidInputError("not a snapshot of ours")
    return checked_rule(
        *(str(members.get(name)) for name in ("listener", "verdict", "prefix")),
        created_ns=0,
    )
