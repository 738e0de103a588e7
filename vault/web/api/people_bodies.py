"""Bodies and answers about people and workgroups."""

from typing import Annotated, TypeAlias

from pydantic import Field, SecretStr

from vault.access.permissions import Permission, Role
from vault.web.api.bodies import Body
from vault.web.api.shapes import Id, Shape, Time

_Name: TypeAlias = Annotated[str, Field(min_length=1, max_length=64)]
_Names: TypeAlias = Annotated[list[_Name], Field(max_length=64)]
_Roles: TypeAlias = Annotated[
    list[Annotated[str, Field(max_length=32)]], Field(max_length=len(Role))
]


class NewPersonBody(Body):
    """``POST /api/v1/users``."""

    name: _Name
    roles: Annotated[_Roles, Field(default_factory=list)]
    workgroups: Annotated[_Names, Field(default_factory=list)]
    source: Annotated[str, Field(min_length=1, max_length=64)] = "local"
    external_id: Annotated[str, Field(max_length=255)] = ""


class PersonBody(Body):
    """``PATCH /api/v1/users/{id}``; what is left out stays as it is."""

    roles: _Roles | None = None
    workgroups: _Names | None = None
    disabled: bool | None = None


class ActivationBody(Body):
    """``POST /api/v1/activations``."""

    user: Annotated[str, Field(min_length=1, max_length=256)]
    code: Annotated[SecretStr, Field(max_length=128)]
    password: Annotated[SecretStr, Field(max_length=1024)]


class NewWorkgroupBody(Body):
    """``POST /api/v1/workgroups``."""

    name: _Name
    parent: Annotated[str, Field(max_length=36)] | None = None
    class_name: Annotated[str, Field(alias="class", max_length=32)] = ""


class WorkgroupBody(Body):
    """``PATCH /api/v1/workgroups/{id}``; what is left out stays as it is."""

    name: _Name | None = None
    parent: Annotated[str, Field(max_length=36)] | None = None
    class_name: Annotated[str | None, Field(alias="class", max_length=32)] = None


class PersonShape(Shape):
    """An account."""

    id: Id
    name: str
    roles: list[Role]
    workgroups: list[str]
    disabled: bool
    source: str


class PeopleShape(Shape):
    """All accounts by name."""

    items: list[PersonShape]


class CodeShape(Shape):
    """A code to be handed over; good once."""

    user: Id
    code: str
    expires: Time


class HalfCodeShape(Shape):
    """Half a code: whoever agrees is shown the other half."""

    user: Id
    code_half: str
    approval: Id
    gains: list[Permission]
    expires: Time


class WorkgroupShape(Shape):
    """A workgroup."""

    id: Id
    name: str
    parent: Id | None
    class_name: Annotated[str | None, Field(alias="class")]


class WorkgroupsShape(Shape):
    """All workgroups by name."""

    items: list[WorkgroupShape]
