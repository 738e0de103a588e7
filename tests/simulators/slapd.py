"""A real OpenLDAP on loopback, with people as directories have them."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import ldap3

from tests.simulators.ports import free_port
from tests.simulators.tls_certificates import Certified
from vault.access.directory import DirectoryConfig
from vault.access.ldap import LdapServer, LdapTls
from vault.core.secrets import SecretBytes

PROGRAM: Final = shutil.which("slapd") or "/usr/sbin/slapd"
HERE: Final = "127.0.0.1"
SUFFIX: Final = "dc=example,dc=org"
PEOPLE: Final = f"ou=people,{SUFFIX}"
GROUPS: Final = f"ou=groups,{SUFFIX}"
SERVICE: Final = f"cn=callvault,{SUFFIX}"
SERVICE_PASSWORD: Final = "service-account-password"
PASSWORD: Final = "directory-battery-staple"
ROOT: Final = f"cn=root,{SUFFIX}"
_ROOT_PASSWORD: Final = "root-of-the-directory"
_WITHIN_S: Final = 20.0

_SCHEMA: Final = """
attributetype ( 1.3.6.1.4.1.4203.666.1.901 NAME 'userAccountControl'
  EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )
attributetype ( 1.3.6.1.4.1.4203.666.1.902 NAME 'accountExpires'
  EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )
attributetype ( 1.3.6.1.4.1.4203.666.1.903 NAME 'nsAccountLock'
  EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )
attributetype ( 1.3.6.1.4.1.4203.666.1.904 NAME 'sAMAccountName'
  EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )
attributetype ( 1.3.6.1.4.1.4203.666.1.905 NAME 'objectGUID'
  EQUALITY octetStringMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.40 )
objectclass ( 1.3.6.1.4.1.4203.666.3.901 NAME 'account2' AUXILIARY
  MAY ( userAccountControl $ accountExpires $ nsAccountLock $ sAMAccountName
    $ objectGUID ) )
"""

_CONFIG: Final = """
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
include {folder}/account.schema
pidfile {folder}/slapd.pid
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload memberof
moduleload ppolicy
TLSCACertificateFile {ca}
TLSCertificateFile {cert}
TLSCertificateKeyFile {key}
TLSProtocolMin 3.3
allow bind_v2
database mdb
maxsize 16777216
suffix "{suffix}"
rootdn "{root}"
rootpw {root_password}
directory {folder}/db
dbnosync
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="{service}" read by self read by * none
overlay memberof
memberof-refint TRUE
overlay ppolicy
"""


@dataclass(kw_only=True)
class Slapd:
    """A directory that can be asked, changed, stopped and started."""

    folder: Path
    plain: int
    "Port of ``ldap:``."
    tls: int
    "Port of ``ldaps:``."
    ca: Path
    process: "subprocess.Popen[bytes] | None" = None

    def url(self, scheme: str = "ldaps") -> str:
        """Return where it listens."""
        return f"{scheme}://{HERE}:{self.tls if scheme == 'ldaps' else self.plain}"

    def config(self, *urls: str, **changed: Any) -> DirectoryConfig:
        """Return how the vault asks it."""
        values: dict[str, Any] = {
            "servers": tuple(LdapServer.parse(one) for one in urls or (self.url(),)),
            "tls": LdapTls(ca_file=self.ca),
            "base": PEOPLE,
            "user_filter": "(objectClass=inetOrgPerson)",
            "bind_dn": SERVICE,
            "bind_password": SecretBytes(SERVICE_PASSWORD.encode()),
        }
        return DirectoryConfig(**(values | changed))

    def person(self, uid: str, **attributes: str | bytes) -> str:
        """Add somebody whose password is `PASSWORD`; return the DN."""
        dn = f"uid={uid},{PEOPLE}"
        self.add(dn, _person(uid) | attributes)
        return dn

    def group(self, name: str, *members: str) -> str:
        """Add a group; return the DN."""
        dn = f"cn={name},{GROUPS}"
        self.add(dn, {"objectClass": ["groupOfNames"], "member": list(members)})
        return dn

    def add(self, dn: str, attributes: Mapping[str, Any]) -> None:
        """Add an entry as the directory's root."""
        with self._root() as root:
            assert root.add(dn, attributes=dict(attributes)), root.result

    def change(self, dn: str, **attributes: Any) -> None:
        """Replace attributes; none is removed."""
        changes = {
            name: [(ldap3.MODIFY_REPLACE, [] if value is None else [value])]
            for name, value in attributes.items()
        }
        with self._root() as root:
            assert root.modify(dn, changes), root.result

    def members(self, group: str, *members: str) -> None:
        """Replace who is in a group."""
        with self._root() as root:
            changes = {"member": [(ldap3.MODIFY_REPLACE, list(members))]}
            assert root.modify(group, changes), root.result

    def rename(self, dn: str, rdn: str) -> str:
        """Give an entry another name; return the DN."""
        with self._root() as root:
            assert root.modify_dn(dn, rdn), root.result
        return f"{rdn},{dn.partition(',')[2]}"

    def remove(self, dn: str) -> None:
        """Take an entry away."""
        with self._root() as root:
            assert root.delete(dn), root.result

    def value(self, dn: str, attribute: str) -> Any:
        """Return an attribute's first value."""
        with self._root() as root:
            root.search(dn, "(objectClass=*)", "BASE", attributes=[attribute])
            return root.response[0]["raw_attributes"][attribute][0]

    def start(self) -> None:
        """Start it."""
        log = (self.folder / "slapd.log").open("ab")
        self.process = subprocess.Popen(
            [
                PROGRAM,
                *("-f", str(self.folder / "slapd.conf"), "-d", "0"),
                *("-h", f"ldap://{HERE}:{self.plain} ldaps://{HERE}:{self.tls}"),
            ],
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        log.close()
        deadline = time.monotonic() + _WITHIN_S
        while not self._listens():
            said = (self.folder / "slapd.log").read_text()
            assert self.process.poll() is None, said
            assert time.monotonic() < deadline, said

    def stop(self) -> None:
        """Stop it."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.process = None

    def _listens(self) -> bool:
        with suppress(OSError), socket.create_connection((HERE, self.tls), 1):
            return True
        return False

    @contextmanager
    def _root(self) -> Iterator[ldap3.Connection]:
        server = ldap3.Server(HERE, port=self.plain, get_info=ldap3.NONE)
        root = ldap3.Connection(server, ROOT, _ROOT_PASSWORD, auto_bind=True)
        try:
            yield root
        finally:
            root.unbind()


@contextmanager
def slapd(folder: Path) -> Iterator[Slapd]:
    """Run a directory for the block: two branches, a service account and no people."""
    root = Certified.make("directory root", is_ca=True)
    ca, _ = root.write(folder, "ca")
    cert, key = Certified.make("localhost", issuer=root).write(folder, "server")
    (folder / "db").mkdir()
    (folder / "account.schema").write_text(_SCHEMA)
    (folder / "slapd.conf").write_text(
        _CONFIG.format(
            folder=folder,
            ca=ca,
            cert=cert,
            key=key,
            suffix=SUFFIX,
            root=ROOT,
            root_password=_ROOT_PASSWORD,
            service=SERVICE,
        )
    )
    made = Slapd(folder=folder, plain=free_port(), tls=free_port(), ca=ca)
    made.start()
    try:
        made.add(SUFFIX, {"objectClass": ["dcObject", "organization"], "o": "Example"})
        for branch in (PEOPLE, GROUPS):
            made.add(branch, {"objectClass": ["organizationalUnit"]})
        made.add(
            SERVICE,
            {
                "objectClass": ["organizationalRole", "simpleSecurityObject"],
                "userPassword": SERVICE_PASSWORD,
            },
        )
        yield made
    finally:
        made.stop()


def _person(uid: str) -> dict[str, Any]:
    return {
        "objectClass": ["inetOrgPerson", "account2"],
        "cn": uid,
        "sn": uid,
        "userPassword": PASSWORD,
    }
