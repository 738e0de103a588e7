"""Who has which name, for queries of the trail and for showing it.

Guarantees: whether a name exists is told only to who may list such names.

Left to others: the language (`vault.audit.language`), drawing (`vault.web.pages`).
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

from vault.access.permissions import Permission
from vault.core.errors import NotFoundError
from vault.web.identity import Asker
from vault.web.services import Services

_USER: Final = "user"
_DEVICE: Final = "device"
_WORKGROUP: Final = "workgroup"
_LISTS_NAMES: Final = (Permission.ACCESS_USER_EDIT, Permission.ACCESS_POLICY_EDIT)


class TrailNames:
    """Names as one asker's query means them."""

    def __init__(self, services: Services, asker: Asker) -> None:
        self._services = services
        self._asker = asker

    def me(self) -> str:
        """Return the asker, as entries spell them."""
        return str(self._asker.caller.actor)

    def ids(self, name: str, kinds: Collection[str]) -> Sequence[str]:
        """Return what of *kinds* has that *name*, as ``<kind>:<id>``."""
        return [one for kind in kinds for one in self._of_kind(name, kind)]

    def tells_who_is_there(self) -> bool:
        """Tell whether the asker may know that a name does not exist."""
        return all(map(self._asker.may, _LISTS_NAMES))

    def labels(self) -> Mapping[str, str]:
        """Return the names of who and what entries name: ``user:<id>`` → name."""
        people = {
            f"{_USER}:{person.id}": person.name
            for person in self._services.people.list()
        }
        devices = {
            f"{_DEVICE}:{listed.device.id}": listed.device.name
            for listed in self._services.devices.list()
        }
        workgroups = {
            f"{_WORKGROUP}:{group_id}": name
            for group_id, name in self._services.workgroups.names().items()
        }
        return people | devices | workgroups

    def _of_kind(self, name: str, kind: str) -> Iterator[str]:
        if kind == _USER:
            try:
                yield f"{_USER}:{self._services.people.by_name(name).id}"
            except NotFoundError:
                return
        elif kind == _DEVICE:
            for listed in self._services.devices.list():
                if listed.device.name.casefold() == name.casefold():
                    yield f"{_DEVICE}:{listed.device.id}"
        elif kind == _WORKGROUP:
            for group_id, own in self._services.workgroups.names().items():
                if own.casefold() == name.casefold():
                    yield f"{_WORKGROUP}:{group_id}"
