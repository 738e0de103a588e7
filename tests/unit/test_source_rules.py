"""What the code of the product never does, read off its source."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MODULES = {
    str(file.relative_to(ROOT)): ast.parse(file.read_text())
    for file in sorted((ROOT / "vault").rglob("*.py"))
    if "node_modules" not in file.parts
}
NODES = {name: list(ast.walk(tree)) for name, tree in MODULES.items()}
SCRIPTS = sorted((ROOT / "vault/web/assets/src").rglob("*.ts"))
TEMPLATES = sorted((ROOT / "vault/web/templates").glob("*.html"))
INVENTORY = ROOT / "docs/security/cryptography-inventory.md"

# What comes back to life as code or as objects of its sender's choice.
LIVE = {"pickle", "marshal", "shelve", "yaml", "jsonpickle", "dill", "code", "runpy"}
CRYPTOGRAPHY = {
    "cryptography", "OpenSSL", "hashlib", "hmac", "secrets", "ssl", "argon2",
    "joserfc", "pyotp", "webauthn", "pylibsrtp", "rfc3161_client",
}  # fmt: skip
# Names of what a guesser would like to find octet by octet.
GUESSED = re.compile(r"(^|_)(tag|mac|hmac|csrf|secret|token|password|cookie)$")


CALLS = [
    (name, node, ast.unparse(node.func))
    for name, nodes in NODES.items()
    for node in nodes
    if isinstance(node, ast.Call)
]


def imported(nodes: list[ast.AST]) -> set[str]:
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {one.name for one in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


IMPORTS = {name: imported(nodes) for name, nodes in NODES.items()}
ROOTS = {
    name: {one.partition(".")[0] for one in found} for name, found in IMPORTS.items()
}


def calls() -> Iterator[tuple[str, ast.Call, str]]:
    yield from CALLS


def test_there_is_something_to_read() -> None:
    assert len(MODULES) > 300
    assert SCRIPTS
    assert TEMPLATES


def test_no_text_becomes_code() -> None:
    found = [
        f"{module}:{node.lineno}"
        for module, node, called in calls()
        if called in {"eval", "exec", "compile", "__import__"}
    ]

    assert [] == found


def test_nothing_is_read_that_could_bring_objects_of_its_own() -> None:
    found = {name: parts & LIVE for name, parts in ROOTS.items()}

    assert {} == {name: which for name, which in found.items() if which}


def test_xml_is_read_by_the_parser_that_refuses_entities() -> None:
    found = {
        name: {one for one in parts if re.match(r"(xml|lxml|defusedxml)\b", one)}
        for name, parts in IMPORTS.items()
    }

    assert {
        "vault/siprec/elements.py": {"defusedxml", "defusedxml.ElementTree"},
        # Writes, and reads nothing.
        "vault/siprec/simulated_bodies.py": {"xml.sax.saxutils"},
    } == {name: which for name, which in found.items() if which}


def test_programs_are_started_by_lists_of_arguments_and_never_by_a_shell() -> None:
    shells = [
        f"{module}:{node.lineno}"
        for module, node, called in calls()
        if called in {"os.system", "os.popen", "subprocess.getoutput"}
        or any(one.arg == "shell" for one in node.keywords)
    ]
    starters = {name for name in MODULES if "subprocess" in ROOTS[name]}

    assert [] == shells
    assert {
        "vault/serving/children.py",
        "vault/tap/syncer.py",
        "vault/tap/worker_process.py",
    } == starters


def test_sql_in_words_is_written_here_and_holds_nothing_from_outside() -> None:
    """Everything else is SQLAlchemy's expressions, which bind what they are given."""
    found = {
        (module, ast.unparse(node.args[0]))
        for module, node, called in calls()
        if called in {"text", "sa.text", "connection.exec_driver_sql"}
        and "sqlalchemy" in ROOTS[module]
        and node.args
        and not isinstance(node.args[0], ast.Constant)
    }

    # The schema's name is one of two, the others are constants.
    assert {
        ("vault/catalog/migrations/versions/r0005_access.py", "_ROLES"),
        ("vault/database/engine.py", "_BEGIN if read_only else _BEGIN_WRITING"),
        ("vault/database/migrate.py", "f'CREATE SCHEMA IF NOT EXISTS \"{schema}\"'"),
        (
            "vault/database/migrate.py",
            "f'SELECT version_num FROM {_VERSION_TABLE}'",
        ),
    } == found


def test_templates_come_from_the_package_and_escape() -> None:
    makers = {
        (module, called)
        for module, _, called in calls()
        if called in {"Environment", "Template", "from_string", "Markup"}
        or called.endswith(".from_string")
    }
    loose = [
        file.name
        for file in TEMPLATES
        if re.search(r"\|\s*safe|autoescape\s+false|Markup", file.read_text())
    ]

    assert {("vault/web/views.py", "Environment")} == makers
    assert [] == loose


def test_templates_have_no_script_style_or_handler_of_their_own() -> None:
    inline = re.compile(
        r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=|javascript:"
        r"|(?:src|href)=\"(?:https?:)?//"
    )

    assert {} == {
        file.name: inline.findall(file.read_text())
        for file in TEMPLATES
        if inline.search(file.read_text())
    }


def test_scripts_make_no_code_and_no_markup_of_strings() -> None:
    sinks = re.compile(
        r"\beval\(|new Function|innerHTML|outerHTML|insertAdjacentHTML|document\.write"
        r"|createContextualFragment|\bwindow\.postMessage|onmessage|__proto__"
        r"|document\.cookie|indexedDB|sessionStorage"
    )

    # What asks for it: documents of the vault, drawn with everything escaped.
    assert {} == {
        file.name: found
        for file in SCRIPTS
        if (found := sinks.findall(file.read_text()))
    }


def test_no_element_is_named_by_what_came_from_outside() -> None:
    """What stands in the page under a name could hide a member of the document."""
    named = {
        (file.name, kind, what)
        for file in TEMPLATES
        for kind, what in re.findall(
            r'\b(id|name)="([^"]*\{\{[^"]*)"',
            re.sub(r"data-\w+=", "", file.read_text()),
        )
    }

    # Of vocabularies of ours: allowances, roles, permissions, and fields of forms.
    assert {
        ("_device.html", "name", "{{ field }}"),
        ("_roles.html", "name", "role:{{ role }}"),
        ("account.html", "name", "may:{{ name }}"),
        ("policies.html", "name", "{{ name }}"),
        ("workgroups.html", "name", "{{ name }}"),
    } == named


def test_scripts_are_modules_that_share_nothing_and_write_no_member_by_name() -> None:
    shared = re.compile(
        r"\b(?:window|globalThis|self)(?:\.\w+|\[[^\]]+\])\s*=[^=]"
        r"|\bdocument(?:\.(?!title\b)\w+|\[[^\]]+\])\s*=[^=]|^\s*var\s"
        r"|\(window as|\(document as",
        re.MULTILINE,
    )
    by_name = re.compile(
        r"\w\[[A-Za-z]\w*\]\s*=[^=].*|Object\.assign\((?!document\.).*"
    )
    found = {
        file.name: [
            *shared.findall(file.read_text()),
            *by_name.findall(file.read_text()),
        ]
        for file in SCRIPTS
    }
    options = (ROOT / "vault/web/assets/tsconfig.json").read_text()

    assert '"strict": true' in options
    # An array of numbers, by number.
    assert {"peaks.ts"} == {name for name, which in found.items() if which}
    assert 1 == len(found["peaks.ts"])


def test_a_browser_keeps_the_choice_of_a_theme_and_nothing_else() -> None:
    keeps = {file.name for file in SCRIPTS if "localStorage" in file.read_text()}

    assert {"theme.ts"} == keeps


def test_every_cookie_is_of_this_host_secure_and_out_of_reach_of_scripts() -> None:
    found = []
    for module, node, called in calls():
        if called.endswith((".set_cookie", ".delete_cookie")):
            named = {one.arg: ast.unparse(one.value) for one in node.keywords}
            found.append((module, ast.unparse(node.args[0]), named))
    wrong = [
        one
        for one in found
        if one[2].get("secure") != "True"
        or one[2].get("httponly") != "True"
        or one[2].get("path") != "'/'"
        or "domain" in one[2]
        or one[2].get("samesite") != ("'lax'" if "provider" in one[0] else "'strict'")
    ]
    source = "\n".join(
        (ROOT / name).read_text() for name in MODULES if name.startswith("vault/web/")
    )
    names = re.findall(r"^(?:\w+_)?COOKIE: Final = \"([^\"]+)\"", source, re.MULTILINE)

    assert len(found) >= 5
    assert [] == wrong
    assert names
    # BY_COOKIE is the word for a way in.
    assert {"cookie"} == {one for one in names if not one.startswith("__Host-")}


def test_cryptography_is_where_the_inventory_says_and_nowhere_else() -> None:
    used = {
        name.removeprefix("vault/"): ROOTS[name] & CRYPTOGRAPHY
        for name in MODULES
        if ROOTS[name] & CRYPTOGRAPHY
    }
    rows = re.findall(
        r"^\| `([\w/]+\.py)` \| ([^|]+) \|", INVENTORY.read_text(), re.MULTILINE
    )
    listed = {name: set(re.findall(r"`(\w+)`", parts)) for name, parts in rows}

    assert used == listed


def test_only_these_ciphers_and_modes_are_named() -> None:
    """No ECB, no CBC, no padding; RSA only to look at other people's keys."""
    prefix = "cryptography.hazmat.primitives."
    found = {
        f"{node.module.removeprefix(prefix)}.{one.name}".removeprefix("asymmetric.")
        for nodes in NODES.values()
        for node in nodes
        if isinstance(node, ast.ImportFrom)
        and (node.module or "").startswith((prefix + "asymmetric", prefix + "ciphers"))
        and node.module is not None
        for one in node.names
    }

    assert {
        "ec", "ed25519", "rsa",
        "ed25519.Ed25519PrivateKey", "ed25519.Ed25519PublicKey",
        "mlkem.MLKEM768PrivateKey", "mlkem.MLKEM768PublicKey",
        "x25519.X25519PrivateKey", "x25519.X25519PublicKey",
        "ciphers.Cipher", "ciphers.aead.AESGCM", "ciphers.algorithms.AES",
        "ciphers.modes.CTR",
    } == found  # fmt: skip


def test_password_fields_are_masked_and_take_what_is_pasted() -> None:
    fields = [
        (file.name, field)
        for file in TEMPLATES
        for field in re.findall(r"<input[^>]*>", file.read_text())
        if re.search(r'name="(password|current|new|again)"', field)
    ]
    handlers = [
        file.name for file in SCRIPTS if re.search(r"['\"]paste['\"]", file.read_text())
    ]

    assert len(fields) >= 5
    assert [] == [one for one in fields if 'type="password"' not in one[1]]
    assert [] == [one for one in fields if "-password" not in one[1]]
    assert [] == handlers


def test_the_hashes_that_are_broken_are_where_a_standard_asks_for_them() -> None:
    found = {
        name
        for name in MODULES
        for node in NODES[name]
        if (isinstance(node, ast.Attribute) and node.attr in {"md5", "sha1"})
        and ast.unparse(node).startswith("hashlib.")
    } | {
        name
        for name, node, called in calls()
        if called in {"hmac.new", "hmac.digest"}
        and any(
            isinstance(one, ast.Constant) and one.value == "sha1"
            for one in (*node.args, *(part.value for part in node.keywords))
        )
    }

    assert {
        # SIP digest of devices that are allowed MD5 (RFC 2617).
        "vault/access/credentials.py",
        "vault/sip/digest.py",
        # The form in which lists of breached passwords are published.
        "vault/access/password_rules.py",
        # HMAC-SHA1 of SRTP (RFC 3711) and of ICE (RFC 8489).
        "vault/tap/rollover.py",
        "vault/tap/srtp_cm.py",
        "vault/tap/stun.py",
    } == found


def test_randomness_that_can_be_computed_guards_nothing() -> None:
    assert {
        # When to try again, and which of several senders is heard first.
        "vault/spool/backoff.py",
        "vault/tap/doubt.py",
        # SystemRandom: the operating system's.
        "vault/sip/dialog.py",
    } == {name for name in MODULES if "random" in ROOTS[name]}


def test_no_certificate_goes_unchecked() -> None:
    lax = re.compile(r"CERT_NONE|CERT_OPTIONAL|_create_unverified|verify=False")

    assert [] == [name for name in MODULES if lax.search((ROOT / name).read_text())]


def test_what_can_be_guessed_is_not_compared_by_equality() -> None:
    found = []
    for name in MODULES:
        for node in NODES[name]:
            if not isinstance(node, ast.Compare) or not isinstance(
                node.ops[0], ast.Eq | ast.NotEq
            ):
                continue
            sides = [node.left, *node.comparators]
            names = [
                side.id if isinstance(side, ast.Name) else side.attr
                for side in sides
                if isinstance(side, ast.Name | ast.Attribute)
            ]
            if any(GUESSED.search(one.lower()) for one in names):
                found.append(f"{name} {ast.unparse(node)}")

    # None of these is one: tokens of the search index and SIP tags, which whoever asks
    # was told, magic numbers, and one form typed twice.
    assert {
        "vault/catalog/search.py INDEX_TOKEN.c.token == token.token",
        "vault/sip/sdes.py _read(line)[0] == weak.tag",
        "vault/sip/transactions.py heading.to_tag == known.to_tag",
        "vault/siprec/ucid.py tag == _TAG",
        "vault/tap/page.py _U64.unpack_from(self._map, at)[0] == tag",
        "vault/tap/stun.py cookie != _COOKIE",
        "vault/web/pages/activation.py password != form.get('again', '')",
    } == set(found)


def test_every_part_is_pinned_by_its_digest() -> None:
    lines = (ROOT / "requirements.lock").read_text().replace("\\\n", " ").splitlines()
    parts = [line for line in lines if line and not line.startswith(("#", " "))]

    assert len(parts) > 50
    assert [] == [
        line
        for line in parts
        if not re.match(r"[\w.-]+(\[\w+\])?==\S+ .*--hash=sha256:", line)
    ]
    assert "--index-url" not in "".join(lines)
    assert "://" not in "".join(lines)
