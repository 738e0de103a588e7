"""Queries that the API takes: each parameter at most once.

Guarantees: no answer depends on which of two values of one parameter somebody
looked at; another layer may look at the other one.
"""

from fastapi import Request

from vault.core.errors import InvalidInputError
from vault.core.openapi import may_answer


@may_answer(InvalidInputError)
def each_once(request: Request) -> None:
    """Insist that no parameter of the query stands twice.

    Raises:
        InvalidInputError: One does.
    """
    names = [name for name, _ in request.query_params.multi_items()]
    if len(set(names)) != len(names):
        raise InvalidInputError("a parameter stands twice")
