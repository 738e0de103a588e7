"""A real OpenLDAP, and whoever may stand between it and the vault (catalogue H42)."""

import shutil
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.simulators.ldap_proxy import Fault, Proxy, proxy
from tests.simulators.slapd import (
    GROUPS,
    PASSWORD,
    PEOPLE,
    PROGRAM,
    SERVICE,
    SUFFIX,
    Slapd,
    slapd,
)
from tests.simulators.tls_certificates import Certified
from vault.access.directory import Directory
from vault.access.ldap import LdapTls
from vault.core.errors import (
    ConfigurationError,
    NotAuthenticatedError,
    UnavailableError,
)
from vault.core.secrets import SecretBytes

pytestmark = [
    pytest.mark.network,
    pytest.mark.peer,
    pytest.mark.skipif(shutil.which(PROGRAM) is None, reason="no slapd here"),
    pytest.mark.xdist_group("slapd"),
]

ORIGIN = "192.0.2.1"
NOBODYS_PORT = "ldaps://127.0.0.1:1"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    with slapd(tmp_path_factory.mktemp("slapd")) as made:
        made.person("ann")
        yield made


@pytest.fixture
def directory(server: Slapd) -> Directory:
    return Directory(server.config())


def refused(directory: Directory, name: str, password: str) -> None:
    with pytest.raises(NotAuthenticatedError):
        directory.authenticate(name, password, ORIGIN)


class TestWhoComesIn:
    @pytest.mark.parametrize("scheme", ["ldaps", "ldap"])
    def test_the_right_password_says_who_it_is(
        self, server: Slapd, scheme: str
    ) -> None:
        directory = Directory(server.config(server.url(scheme)))
        found = directory.authenticate("ann", PASSWORD, ORIGIN)

        assert found is not None
        assert ("ldap", "ann", frozenset()) == (found.source, found.name, found.groups)
        uuid = server.value(f"uid=ann,{PEOPLE}", "entryUUID").decode()
        assert uuid == found.external_id

    def test_a_wrong_password_is_no_unknown_name(self, directory: Directory) -> None:
        refused(directory, "ann", "something else")

        assert directory.authenticate("nobody", PASSWORD, ORIGIN) is None

    @pytest.mark.parametrize("password", ["", "\u00ad", "\0", "\0x", "\ud800", " "])
    def test_h42_no_password_is_no_password(
        self, directory: Directory, password: str
    ) -> None:
        """An empty bind is an anonymous one, and succeeds; so would one of which
        preparation leaves nothing (a soft hyphen)."""
        refused(directory, "ann", password)

    @pytest.mark.parametrize(
        "name",
        ["*", "*)(uid=*", "a*", "ann)(objectClass=*", "\\61nn", "ann\0", "", " ann",
         "ann ", "a\u00adnn", "\ud800", "x" * 65, f"ann,{PEOPLE}"],
    )  # fmt: skip
    def test_h42_a_name_is_never_a_condition(
        self, directory: Directory, name: str
    ) -> None:
        assert directory.authenticate(name, PASSWORD, ORIGIN) is None

    def test_a_name_that_only_the_directory_takes_for_the_same_is_another(
        self, server: Slapd, directory: Directory
    ) -> None:
        """Its matching rules overlook accents' forms and case; ours are the throttle's."""
        assert directory.authenticate("ANN", PASSWORD, ORIGIN) is not None

    @pytest.mark.parametrize(
        "rdn",
        [
            r"cn=M\C3\BCller\, Hans",
            r"cn=a\+b\22c\5C\3Cd\3E\3Be\3Df",
            r"cn=\#hash",
            r"cn=\ blanks\ ",
            "cn=(paren*theses)",
            "cn=\u79d1\u5b66\U0001f600",
        ],
    )
    def test_h42_any_distinguished_name_can_bind(
        self, server: Slapd, directory: Directory, rdn: str
    ) -> None:
        dn = f"{rdn},{PEOPLE}"
        group = ""
        server.add(
            dn,
            {
                "objectClass": ["inetOrgPerson", "account2"],
                "sn": "x",
                "uid": "odd",
                "userPassword": PASSWORD,
            },
        )
        try:
            group = server.group("odd", dn)
            found = Directory(server.config(group_base=GROUPS)).authenticate(
                "odd", PASSWORD, ORIGIN
            )
            assert found is not None
            assert {group} == found.groups
            refused(directory, "odd", "something else")
        finally:
            if group:
                server.remove(group)
            server.remove(dn)

    def test_h42_two_entries_of_one_name_are_nobody(
        self, server: Slapd, directory: Directory
    ) -> None:
        first = server.person("twin")
        second = f"cn=twin,{PEOPLE}"
        server.add(
            second,
            {
                "objectClass": ["inetOrgPerson"],
                "sn": "x",
                "uid": "twin",
                "userPassword": PASSWORD,
            },
        )

        refused(directory, "twin", PASSWORD)
        server.remove(first)
        server.remove(second)

    def test_h42_a_referral_is_not_followed(self, server: Slapd) -> None:
        """Whoever can add one would be shown the passwords."""
        with proxy(server.plain, Fault.NONE) as elsewhere:
            dn = f"ou=elsewhere,{PEOPLE}"
            server.add(
                dn,
                {
                    "objectClass": ["referral", "extensibleObject"],
                    "ref": f"{elsewhere.url}/{PEOPLE}",
                },
            )
            directory = Directory(server.config())

            assert directory.authenticate("eve", PASSWORD, ORIGIN) is None
            below = Directory(server.config(base=f"ou=x,{dn}"))
            with pytest.raises(UnavailableError):
                below.authenticate("eve", PASSWORD, ORIGIN)
            assert directory.authenticate("ann", PASSWORD, ORIGIN) is not None
            assert [] == elsewhere.seen

    @pytest.mark.parametrize(
        "template", ["uid={name}," + PEOPLE, "UID={name}," + PEOPLE.upper()]
    )
    def test_people_may_bind_directly(self, server: Slapd, template: str) -> None:
        directory = Directory(
            server.config(bind_dn="", bind_password=None, direct_bind=template)
        )

        assert directory.authenticate("ann", PASSWORD, ORIGIN) is not None
        for name, password in (
            ("ann", "something else"),
            ("ann", ""),
            ("nobody", PASSWORD),
            ("ann,ou=x", PASSWORD),
        ):
            refused(directory, name, password)
        with pytest.raises(UnavailableError):
            directory.standing(frozenset({"x"}))


class TestWhoIsShut:
    @pytest.mark.parametrize(
        "attributes",
        [
            {"userAccountControl": "514"},
            {"nsAccountLock": "TRUE"},
            {"nsAccountLock": "1"},
            {"nsAccountLock": "unreadable"},
            {"accountExpires": "1"},
        ],
        ids=str,
    )
    def test_h42_who_is_disabled_stays_out_and_is_put_out(
        self, server: Slapd, directory: Directory, attributes: dict[str, str]
    ) -> None:
        dn = server.person("shut")
        before = directory.authenticate("shut", PASSWORD, ORIGIN)
        assert before is not None
        assert {before.external_id: before} == directory.standing(
            frozenset({before.external_id})
        )
        server.change(dn, **attributes)

        refused(directory, "shut", PASSWORD)
        assert {} == directory.standing(frozenset({before.external_id}))
        server.remove(dn)

    @pytest.mark.parametrize("value", ["FALSE", "false", "0"])
    def test_h42_who_is_not_disabled_is_not(
        self, server: Slapd, directory: Directory, value: str
    ) -> None:
        dn = server.person("open", nsAccountLock=value, userAccountControl="512")

        assert directory.authenticate("open", PASSWORD, ORIGIN) is not None
        server.remove(dn)

    def test_who_is_locked_by_the_directorys_policy_stays_out(
        self, server: Slapd, directory: Directory
    ) -> None:
        dn = server.person("locked")
        server.change(dn, pwdAccountLockedTime="000001010000Z")

        refused(directory, "locked", PASSWORD)
        server.remove(dn)

    def test_who_is_renamed_is_the_same_and_who_gets_the_name_is_not(
        self, server: Slapd, directory: Directory
    ) -> None:
        old = server.person("changing")
        before = directory.authenticate("changing", PASSWORD, ORIGIN)
        moved = server.rename(old, "uid=changed")
        again = server.person("changing")
        after = directory.authenticate("changed", PASSWORD, ORIGIN)
        other = directory.authenticate("changing", PASSWORD, ORIGIN)

        assert before is not None
        assert after is not None
        assert other is not None
        assert before.external_id == after.external_id != other.external_id
        standing = directory.standing(frozenset({before.external_id}))
        assert "changed" == standing[before.external_id].name
        server.remove(moved)
        server.remove(again)

    def test_a_guid_of_active_directory_is_an_id_too(self, server: Slapd) -> None:
        octets = struct.pack(">QQ", 0x0123456789ABCDEF, 0x0011223344556677)
        dn = server.person("ad", sAMAccountName="ad", objectGUID=octets)
        directory = Directory(
            server.config(name_attribute="sAMAccountName", id_attribute="objectGUID")
        )
        found = directory.authenticate("ad", PASSWORD, ORIGIN)

        assert found is not None
        assert "67452301-ab89-efcd-0011-223344556677" == found.external_id
        assert {found.external_id: found} == directory.standing(
            frozenset({found.external_id, "no guid"})
        )
        server.change(dn, objectGUID=None)
        refused(directory, "ad", PASSWORD)
        server.remove(dn)


class TestGroups:
    @pytest.fixture
    def nested(self, server: Slapd) -> Iterator[dict[str, str]]:
        """ann ∈ listeners ⊂ claims ⊂ company, and company ⊂ listeners: a circle."""
        made = {"listeners": server.group("listeners", f"uid=ann,{PEOPLE}")}
        made["claims"] = server.group("claims", made["listeners"])
        made["company"] = server.group("company", made["claims"])
        server.members(made["listeners"], f"uid=ann,{PEOPLE}", made["company"])
        yield made
        for dn in made.values():
            server.remove(dn)

    @pytest.mark.parametrize("base", ["", GROUPS], ids=["memberOf", "search"])
    def test_h42_groups_of_groups_count_and_a_circle_ends(
        self, server: Slapd, nested: dict[str, str], base: str
    ) -> None:
        found = Directory(server.config(group_base=base)).authenticate(
            "ann", PASSWORD, ORIGIN
        )

        assert found is not None
        assert {*nested.values()} == found.groups

    @pytest.mark.parametrize("base", ["", GROUPS], ids=["memberOf", "search"])
    def test_groups_of_groups_may_be_left_alone(
        self, server: Slapd, nested: dict[str, str], base: str
    ) -> None:
        directory = Directory(server.config(group_base=base, nested_groups=False))
        found = directory.authenticate("ann", PASSWORD, ORIGIN)

        assert found is not None
        assert {nested["listeners"]} == found.groups

    def test_what_is_too_far_up_does_not_count(self, server: Slapd) -> None:
        chain = [server.group("level-0", f"uid=ann,{PEOPLE}")]
        for level in range(1, 14):
            chain.append(server.group(f"level-{level}", chain[-1]))
        found = Directory(server.config(group_base=GROUPS)).authenticate(
            "ann", PASSWORD, ORIGIN
        )
        for dn in chain:
            server.remove(dn)

        assert found is not None
        assert {*chain[:10]} == found.groups


class TestWhenItIsDown:
    def test_h42_a_directory_that_is_down_lets_nobody_in(self, server: Slapd) -> None:
        directory = Directory(server.config(NOBODYS_PORT))

        for name in ("ann", "nobody"):
            with pytest.raises(UnavailableError):
                directory.authenticate(name, PASSWORD, ORIGIN)

    def test_the_next_server_is_asked_where_one_is_down(self, server: Slapd) -> None:
        directory = Directory(server.config(NOBODYS_PORT, server.url()))

        assert directory.authenticate("ann", PASSWORD, ORIGIN) is not None
        refused(directory, "ann", "something else")

    def test_a_restart_is_all_that_it_takes(self, server: Slapd) -> None:
        directory = Directory(server.config())
        server.stop()
        with pytest.raises(UnavailableError):
            directory.authenticate("ann", PASSWORD, ORIGIN)
        server.start()

        assert directory.authenticate("ann", PASSWORD, ORIGIN) is not None

    @pytest.mark.parametrize("fault", [Fault.SILENT, Fault.TRICKLE, Fault.ENDLESS])
    def test_h42_a_slow_directory_is_one_that_is_down(
        self, server: Slapd, fault: Fault
    ) -> None:
        """The proxy goes on for as long as the test; the vault does not wait."""
        with proxy(server.plain, fault) as between:
            directory = Directory(server.config(between.url, limit_s=0.6))
            with pytest.raises(UnavailableError):
                directory.authenticate("ann", PASSWORD, ORIGIN)

            assert not between.over.is_set()

    def test_h42_a_silent_server_leaves_time_for_the_next(self, server: Slapd) -> None:
        with proxy(server.plain, Fault.SILENT) as between:
            directory = Directory(server.config(between.url, server.url()))

            assert directory.authenticate("ann", PASSWORD, ORIGIN) is not None

    def test_a_service_account_that_is_refused_is_a_directory_that_is_down(
        self, server: Slapd
    ) -> None:
        directory = Directory(server.config(bind_password=SecretBytes(b"old one")))

        with pytest.raises(UnavailableError):
            directory.authenticate("ann", PASSWORD, ORIGIN)


class TestProtection:
    @pytest.mark.parametrize("fault", [Fault.REFUSE_TLS, Fault.FEIGN_TLS])
    def test_h42_without_starttls_nothing_is_said(
        self, server: Slapd, fault: Fault
    ) -> None:
        with proxy(server.plain, fault) as between:
            directory = Directory(server.config(between.url))
            with pytest.raises(UnavailableError):
                directory.authenticate("ann", PASSWORD, ORIGIN)

            assert said_in_the_clear(between) == []

    def test_h42_over_starttls_nothing_can_be_read(self, server: Slapd) -> None:
        with proxy(server.plain, Fault.NONE) as between:
            directory = Directory(server.config(between.url))
            assert directory.authenticate("ann", PASSWORD, ORIGIN) is not None

            assert said_in_the_clear(between) == []

    def test_in_the_clear_it_is_spoken_to_on_loopback_alone(
        self, server: Slapd
    ) -> None:
        tls = LdapTls(start_tls=False)
        directory = Directory(server.config(server.url("ldap"), tls=tls))

        assert directory.authenticate("ann", PASSWORD, ORIGIN) is not None
        for url in ("ldap://192.0.2.1", "ldap://localhost", "ldap://[2001:db8::1]"):
            with pytest.raises(ConfigurationError):
                Directory(server.config(url, tls=tls))

    def test_a_certificate_of_another_root_ends_it(
        self, server: Slapd, tmp_path: Path
    ) -> None:
        other, _ = Certified.make("another root", is_ca=True).write(tmp_path, "other")
        for url in (server.url("ldaps"), server.url("ldap")):
            directory = Directory(server.config(url, tls=LdapTls(ca_file=other)))
            with pytest.raises(UnavailableError):
                directory.authenticate("ann", PASSWORD, ORIGIN)

    def test_a_certificate_for_another_host_ends_it(self, server: Slapd) -> None:
        """The certificate has 127.0.0.1 and localhost."""
        with proxy(server.tls, Fault.NONE, host="127.0.0.2") as between:
            url = f"ldaps://127.0.0.2:{between.port}"
            with pytest.raises(UnavailableError):
                Directory(server.config(url)).authenticate("ann", PASSWORD, ORIGIN)
            localhost = Directory(server.config(f"ldaps://localhost:{server.tls}"))

            assert localhost.authenticate("ann", PASSWORD, ORIGIN) is not None


class TestExamination:
    def test_it_says_step_by_step_what_is_found(
        self, server: Slapd, directory: Directory
    ) -> None:
        group = server.group("seen", f"uid=ann,{PEOPLE}")
        lines = [*directory.examine("ann", PASSWORD)]
        server.remove(group)

        assert f"{server.url()}: connected, protected by TLSv1.3" == lines[0]
        assert f"bound as {SERVICE}" == lines[1]
        assert f"entry: uid=ann,{PEOPLE}" == lines[2]
        assert [f"group: cn=seen,ou=groups,{SUFFIX}", "right"] == lines[-2:]

    @pytest.mark.parametrize(
        ("name", "password", "last"),
        [
            ("ann", "wrong", "refused: the password is wrong"),
            ("nobody", PASSWORD, "refused: no entries have that name"),
        ],
    )
    def test_it_says_why_nobody_comes_in(
        self, directory: Directory, name: str, password: str, last: str
    ) -> None:
        assert last == [*directory.examine(name, password)][-1]


def said_in_the_clear(between: Proxy) -> list[bytes]:
    said = b"".join(between.seen)
    return [one for one in (PASSWORD.encode(), SERVICE.encode(), b"ann") if one in said]
