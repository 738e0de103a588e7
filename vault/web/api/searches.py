"""Searches of the trail that the asker keeps."""

from typing import Annotated

from fastapi import APIRouter, Depends, Response
from fastapi.responses import JSONResponse

from vault.access.saved_searches import SavedSearch
from vault.core.errors import AccessDeniedError, ConflictError, NotFoundError
from vault.core.openapi import may_answer
from vault.web.api.bodies import JsonBody, NewSearch
from vault.web.api.queries import each_once
from vault.web.api.shapes import IdInPath, SearchesShape, SearchShape
from vault.web.identity import Rooms, SignedIn
from vault.web.searches import SearchDesk

router = APIRouter(prefix="/api/v1/audit/searches", dependencies=[Depends(each_once)])


@router.get("", response_model=SearchesShape)
@may_answer(AccessDeniedError)
def list_searches(asker: SignedIn, services: Rooms) -> JSONResponse:
    """List one's own searches, by name."""
    found = SearchDesk(services, asker).items()
    return JSONResponse({"items": [_members(one) for one in found]})


@router.post("", status_code=201, response_model=SearchShape)
@may_answer(AccessDeniedError, ConflictError)
def add_search(
    asker: SignedIn,
    body: Annotated[NewSearch, Depends(JsonBody(shape=NewSearch))],
    services: Rooms,
) -> JSONResponse:
    """Keep a search under a name; names in it become ids."""
    added = SearchDesk(services, asker).add(body.name, body.query)
    return JSONResponse(_members(added), status_code=201)


@router.delete("/{search_id}", status_code=204, response_class=Response)
@may_answer(AccessDeniedError, NotFoundError)
def remove_search(search_id: IdInPath, asker: SignedIn, services: Rooms) -> Response:
    """Remove one of one's own searches."""
    SearchDesk(services, asker).remove(search_id)
    return Response(status_code=204)


def _members(one: SavedSearch) -> dict[str, str]:
    return {"id": one.id, "name": one.name, "query": one.query}
