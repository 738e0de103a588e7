"""What SQL lists and what Python covers are the same recordings, row by row."""

from collections.abc import Callable
from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select, update

from vault.catalog.recordings import Recordings
from vault.catalog.search import visible
from vault.catalog.tables import RECORDING
from vault.catalog.values import OpenRecording
from vault.core.flow import VisibilityScope
from vault.core.ids import UserId, WorkgroupId
from vault.database.engine import reading, transaction

ME, ANOTHER = UserId("me"), UserId("another")
GROUPS = [WorkgroupId(one) for one in ("a", "b", "c")]
CLASSES = ["board", "medical"]

some_groups = st.frozensets(st.sampled_from(GROUPS))
scopes = st.builds(
    VisibilityScope,
    user_id=st.just(ME),
    workgroups=some_groups,
    own=st.booleans(),
    classes=st.frozensets(st.sampled_from(CLASSES)),
    class_workgroups=some_groups,
    everything=st.sampled_from([False, False, False, True]),
)


def test_sql_and_python_agree_about_every_row(
    catalog_engine: Engine,
    recordings: Recordings,
    new_order: Callable[..., OpenRecording],
) -> None:
    for group, agent, class_name in product(
        (None, *GROUPS), (None, ME, ANOTHER), (None, *CLASSES)
    ):
        order = new_order()
        recordings.open(order)
        with transaction(catalog_engine) as connection:
            connection.execute(
                update(RECORDING)
                .where(RECORDING.c.id == order.id)
                .values(workgroup_id=group, agent_id=agent, class_name=class_name)
            )
    with reading(catalog_engine) as connection:
        rows = connection.execute(select(RECORDING)).all()

    @settings(max_examples=150, deadline=None)
    @given(scope=scopes, other=scopes)
    def agree(scope: VisibilityScope, other: VisibilityScope) -> None:
        both = scope.joined(other)
        with reading(catalog_engine) as connection:
            listed = set(
                connection.scalars(select(RECORDING.c.id).where(visible(scope)))
            )
        within = {
            one: {
                row.id
                for row in rows
                if one.covers(
                    workgroup_id=row.workgroup_id,
                    agent_id=row.agent_id,
                    class_name=row.class_name,
                )
            }
            for one in (scope, other, both)
        }

        assert within[scope] == listed
        assert within[both] == within[scope] | within[other]
        assert not (scope.is_empty and listed)

    assert len(rows) == 36
    agree()
