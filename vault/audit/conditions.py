"""A query of the trail as conditions of the database.

Guarantees: the rows that meet `conditions_of` are the entries that
`vault.audit.query.TrailQuery.selects`, on SQLite and PostgreSQL, as long as the
columns repeat what the entries say (`vault.audit.reading` compares).

Left to others: order, pages, and judging what was found (`vault.audit.reading`).
"""

from collections.abc import Sequence

from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    exists,
    not_,
    or_,
    select,
    union_all,
)

from vault.audit.query import PREFIX, Terms, TrailQuery
from vault.audit.tables import log_entry, log_object


def conditions_of(
    query: TrailQuery, *, in_passing: bool = False
) -> list[ColumnElement[bool]]:
    """Return what rows of `log_entry` must meet, all of it.

    Args:
        query: Which entries.
        in_passing: Whether rows are met one by one in the order of the log, as for an
            export: then each is asked, and no index is searched anew for each batch.
    """
    found = _terms(query.wanted, in_passing=in_passing)
    unwanted = _terms(query.unwanted, in_passing=in_passing)
    found += [not_(condition) for condition in unwanted]
    if query.since:
        found.append(_column("time", in_passing=in_passing) >= query.since)
    if query.until:
        found.append(_column("time", in_passing=in_passing) < query.until)
    return found


def _terms(terms: Terms, *, in_passing: bool) -> list[ColumnElement[bool]]:
    action = _column("action", in_passing=in_passing)
    actor = _column("actor", in_passing=in_passing)
    found: list[ColumnElement[bool]] = []
    if terms.about:
        found.append(_about(terms.about, actor, in_passing=in_passing))
    if terms.action:
        found.append(or_(*(_action(one, action) for one in terms.action)))
    if terms.actor:
        found.append(actor.in_(terms.actor))
    if terms.object:
        found.append(
            _is_about(terms.object)
            if in_passing
            else log_entry.c.position.in_(_by_object(terms.object))
        )
    if terms.result:
        found.append(log_entry.c.result.in_(terms.result))
    return found


def _column(name: str, *, in_passing: bool) -> ColumnElement[str]:
    column: ColumnElement[str] = log_entry.c[name]
    # What is computed from a column is looked up in no index.
    return column.concat("") if in_passing else column


def _action(wanted: str, action: ColumnElement[str]) -> ColumnElement[bool]:
    if not wanted.endswith(PREFIX):
        return action == wanted
    # A range, which the index knows: "." is followed by "/" in every order of octets.
    stem = wanted.removesuffix(PREFIX)
    return and_(action >= f"{stem}.", action < f"{stem}/")


def _about(
    values: Sequence[str], actor: ColumnElement[str], *, in_passing: bool
) -> ColumnElement[bool]:
    if in_passing:
        return or_(actor.in_(values), _is_about(values))
    # Two short lists by two indices; an OR over both tables would read the whole log.
    by_actor = select(log_entry.c.position).where(actor.in_(values))
    return log_entry.c.position.in_(union_all(by_actor, _by_object(values)))


def _by_object(values: Sequence[str]) -> Select[tuple[int]]:
    return select(log_object.c.position).where(log_object.c.object.in_(values))


def _is_about(values: Sequence[str]) -> ColumnElement[bool]:
    return exists().where(
        log_object.c.position == log_entry.c.position, log_object.c.object.in_(values)
    )
