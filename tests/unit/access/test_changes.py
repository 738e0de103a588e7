from typing import Any, cast

import pytest

from vault.access.policy_changes import RemoveClass, SetWorkgroup
from vault.core.ids import WorkgroupId


def test_what_stays_as_it_is_is_not_kept() -> None:
    change = SetWorkgroup(workgroup_id=WorkgroupId("w"), parent_id="")

    assert {"workgroup_id": "w", "parent_id": ""} == change.members()
    assert change == SetWorkgroup.parse(change.members())


def test_a_member_that_is_no_text_is_not_kept_as_text() -> None:
    with pytest.raises(TypeError, match="no text"):
        RemoveClass(name=cast(Any, 7)).members()
