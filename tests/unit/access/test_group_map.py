import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.access.group_map import Duties, GroupMap, canonical_dn, group_key
from vault.access.ldap_entries import dn_escaped
from vault.access.permissions import Role
from vault.core.errors import ConfigurationError, InvalidInputError

LISTENERS = "cn=Listeners,ou=groups,dc=example,dc=org"


@pytest.mark.parametrize(
    "twin",
    [
        "CN=listeners,OU=Groups,DC=EXAMPLE,DC=ORG",
        " cn = Listeners , ou = groups , dc = example , dc = org ",
        r"cn=\4cisteners,ou=groups,dc=example,dc=org",
        "cn=\uff2cisteners,ou=groups,dc=example,dc=org",
    ],
)
def test_two_spellings_of_one_name_are_one_group(twin: str) -> None:
    groups = GroupMap.parse({LISTENERS: "supervisor"})

    assert {Role.SUPERVISOR} == groups.duties([twin]).roles


@pytest.mark.parametrize(
    "other",
    [
        "cn=Listeners,ou=groups,dc=example,dc=org,dc=evil",
        "cn=Listeners,ou=elsewhere,dc=example,dc=org",
        r"cn=Listeners\,ou=groups,dc=example,dc=org",
        "cn=Listeners+sn=x,ou=groups,dc=example,dc=org",
        "Listeners",
        "",
    ],
)
def test_another_group_means_nothing(other: str) -> None:
    groups = GroupMap.parse({LISTENERS: "supervisor"})

    assert Duties() == groups.duties([other])


def test_groups_come_to_all_that_each_means() -> None:
    groups = GroupMap.parse(
        {"a": "supervisor, workgroup:Claims", "b": "quality,workgroup:Sales  Team"}
    )

    assert groups.knows_workgroups
    assert Duties(
        roles=frozenset({Role.SUPERVISOR, Role.QUALITY}),
        workgroups=frozenset({"Claims", "Sales Team"}),
    ) == groups.duties(["b", "a", "c"])


@pytest.mark.parametrize(
    "table",
    [
        {"a": "emperor"},
        {"a": ""},
        {"a": "supervisor,"},
        {"a": "workgroup:"},
        {"a": "SUPERVISOR"},
        {"": "supervisor"},
        {LISTENERS: "supervisor", LISTENERS.upper(): "quality"},
    ],
)
def test_a_map_that_may_be_a_mistake_is_refused(table: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError):
        GroupMap.parse(table)


def test_the_name_of_a_group_that_is_no_dn_counts_as_written() -> None:
    groups = GroupMap.parse({"vault-listeners": "supervisor"})

    assert Duties() == groups.duties(["Vault-Listeners", "vault-listeners "])
    assert groups.duties(["vault-listeners"]).roles


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        (r"cn=M\C3\BCller\, Hans,dc=x", "cn=m\u00fcller\\2c hans,dc=x"),
        (r"cn=a\+b\"c\\d\<e\>f\;g\=h\#i", r"cn=a\2bb\22c\5cd\3ce\3ef\3bg\3dh\23i"),
        ("b=2+a=1,dc=x", "a=1+b=2,dc=x"),
        (r"cn=trailing\ ,dc=x", "cn=trailing ,dc=x"),
        ("cn=two  blanks   ,dc=x", "cn=two blanks,dc=x"),
        ("2.5.4.3=x", "2.5.4.3=x"),
    ],
)
def test_special_characters_have_one_spelling(text: str, canonical: str) -> None:
    assert canonical == canonical_dn(text)


@pytest.mark.parametrize(
    "text",
    ["", "cn", "=x", "cn=a,", "cn=a,,dc=x", 'cn="a"', "cn=a<b", "cn=a\\", r"cn=\zz",
     r"cn=\ff", "cn=" + "x" * 3000, "c n=x"],
)  # fmt: skip
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError):
        canonical_dn(text)


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    assert isinstance(group_key(text), str)


@given(st.text(min_size=1, max_size=40), st.text(min_size=1, max_size=40))
def test_no_value_becomes_another_name(value: str, other: str) -> None:
    dn = f"cn={dn_escaped(value)},dc=x"
    try:
        canonical = canonical_dn(dn)
    except InvalidInputError:
        return

    assert canonical.endswith(",dc=x")
    assert canonical.count(",") == 1
