"""Runs a command the way systemd would run a unit, without systemd.

Reads ``[Service]`` of the unit files (a drop-in after its unit) and applies what
root can apply by hand: another user without capabilities, limits, a read-only root
with private ``/tmp`` and ``/home``, ``/proc`` with this unit's processes only, a user
namespace, no new privileges, and the system-call filter, built with the same
libseccomp from the same groups (``systemd-analyze syscall-filter``).

Not applied, because it takes the manager: control groups (``MemorySwapMax``),
``PrivateDevices``, and the small ones (``RestrictRealtime``, ``ProtectClock``, …), most
of which only take away what a process without capabilities has not got.

As a program, and as root::

    python -m tests.simulators.service_sandbox '{"units": […], "uid": …, …}' COMMAND…

Spec: systemd.exec(5), seccomp(2), user_namespaces(7)
"""

import ctypes
import json
import os
import re
import resource
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).parents[2]
_HIDDEN: Final = ("/tmp", "/var/tmp", "/home", "/root", "/run/user")
"Empty under ``PrivateTmp=`` and ``ProtectHome=``."
_LIBSECCOMP: Final = "libseccomp.so.2"
_CLONE_NEWNS, _CLONE_NEWUSER = 0x00020000, 0x10000000
_PR_SET_NO_NEW_PRIVS, _PR_CAPBSET_DROP = 38, 24
_LAST_CAPABILITY: Final = 40
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_EPERM, _EAFNOSUPPORT, _EQUAL = 1, 97, 4
_LIMITS: Final = {
    "LimitCORE": resource.RLIMIT_CORE,
    "LimitMEMLOCK": resource.RLIMIT_MEMLOCK,
    "LimitNOFILE": resource.RLIMIT_NOFILE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandbox:
    """What of a unit is not in its file."""

    units: tuple[str, ...]
    "Unit file, then drop-ins."
    uid: int
    gid: int
    folders: Mapping[str, str] = field(default_factory=dict)
    "Path that the unit sees → folder that stands for it, writable."

    def command(self, *words: str) -> list[str]:
        """Return the words that run *words* in here; run them as root."""
        here = [sys.executable, "-m", "tests.simulators.service_sandbox"]
        return [*here, json.dumps(asdict(self)), *words]


def missing() -> str | None:
    """Return why a unit cannot be imitated here, or None."""
    if os.geteuid() != 0:
        return "only root can become another user"
    if shutil.which("systemd-analyze") is None:
        return "systemd-analyze is not installed (Debian: systemd)"
    try:
        ctypes.CDLL(_LIBSECCOMP)
    except OSError:
        return "libseccomp is not installed (Debian: libseccomp2)"
    hidden = [place for place in _HIDDEN if REPOSITORY.is_relative_to(place)]
    if hidden:
        return f"a unit sees nothing below {hidden[0]}, where this checkout lies"
    probe = ["unshare", "--mount", "--user", "true"]
    if subprocess.run(probe, capture_output=True, check=False).returncode:
        return "namespaces are not allowed here"
    return None


def foreign_python(uid: int) -> tuple[str, dict[str, str]] | None:
    """Return an interpreter that *uid* may run, with the environment it needs.

    Root's virtual environment often rests on an interpreter in root's home, which
    others cannot enter: then the system's Python of the same version stands in.
    """
    packages = next((p for p in sys.path if p.endswith("site-packages")), "")
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    environment = {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": f"{REPOSITORY}:{packages}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONNOUSERSITE": "1",
        "LC_ALL": "C.UTF-8",
    }
    for candidate in (sys.executable, shutil.which(version, path="/usr/bin:/bin")):
        if candidate is None:
            continue
        try:
            probe = subprocess.run(
                [candidate, "-c", "import vault.cli, cryptography, av"],
                env=environment,
                cwd="/",
                user=uid,
                group=uid,
                extra_groups=[],
                capture_output=True,
                check=False,
            )
        except OSError:
            continue
        if probe.returncode == 0:
            return candidate, environment
    return None


def settings(units: Sequence[str | Path]) -> dict[str, list[str]]:
    """Return every value of ``[Service]`` by name, in order."""
    found: dict[str, list[str]] = {}
    for unit in units:
        section = ""
        for line in Path(unit).read_text().splitlines():
            if line.startswith("["):
                section = line
            elif section == "[Service]" and "=" in line and line[0] not in "#;":
                name, _, value = line.partition("=")
                found.setdefault(name.strip(), []).append(value.strip())
    return found


def allowed_calls(filters: Sequence[str]) -> set[str]:
    """Return the system calls that ``SystemCallFilter=`` lines allow together."""
    allowed = set(_expanded("@default"))
    for line in filters:
        names = {call for word in line.lstrip("~").split() for call in _expanded(word)}
        allowed = allowed - names if line.startswith("~") else allowed | names
    return allowed


def _expanded(word: str) -> set[str]:
    if not word.startswith("@"):
        return {word}
    said = subprocess.run(
        ["systemd-analyze", "syscall-filter", word],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    members = re.findall(r"^    ([@\w-]+)$", said, re.MULTILINE)
    return {call for member in members for call in _expanded(member)}


def _main(words: Sequence[str]) -> None:
    given = json.loads(words[0])
    unit = settings(given["units"])
    calls = allowed_calls(unit.get("SystemCallFilter", []))
    for name, limit in _LIMITS.items():
        for value in unit.get(name, [])[-1:]:
            number = resource.RLIM_INFINITY if value == "infinity" else int(value)
            # Where not even root may raise a limit, what there is has to do.
            highest = resource.getrlimit(limit)[1]
            if highest != resource.RLIM_INFINITY:
                number = highest if number < 0 else min(number, highest)
            resource.setrlimit(limit, (number, number))
    os.umask(0o022)
    _namespaces(unit, given)
    os.umask(int(unit.get("UMask", ["0022"])[-1], 8))
    _call(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no new privileges")
    for capability in range(_LAST_CAPABILITY + 1):
        _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
    os.setgroups([])
    os.setresgid(*[given["gid"]] * 3)
    os.setresuid(*[given["uid"]] * 3)
    _filter(calls, unit.get("RestrictAddressFamilies", [""])[-1].split())
    os.execvpe(words[1], list(words[1:]), os.environ)


def _namespaces(unit: Mapping[str, Sequence[str]], given: dict[str, object]) -> None:
    on = {name for name, values in unit.items() if values[-1] in {"yes", "strict"}}
    _call(_libc.unshare(_CLONE_NEWNS), "a mount namespace")
    _mount("--make-rprivate", "/")
    # Held before anything is mounted above them.
    folders = {
        there: os.open(str(here), os.O_PATH)
        for there, here in dict(given["folders"]).items()  # type: ignore[call-overload]
    }
    if "ProtectSystem" in on:
        for line in Path("/proc/self/mountinfo").read_text().splitlines():
            point = line.split()[4]
            if not point.startswith(("/proc", "/sys", "/dev")):
                _mount("-o", "remount,bind,ro", point)
    # The unit's own folders appear where its file says, above an empty /var/lib.
    for place in ("/tmp", "/var/lib", "/run"):
        _mount("-t", "tmpfs", "-o", "mode=0755", "tmpfs", place)
    if "PrivateTmp" in on:
        _mount("-o", "remount,mode=1777", "/tmp")
    if "ProtectHome" in on:
        for place in ("/root", "/home"):
            _mount("-t", "tmpfs", "-o", "mode=0700", "tmpfs", place)
    for there, descriptor in folders.items():
        Path(there).mkdir(parents=True)
        _mount("--bind", f"/proc/self/fd/{descriptor}", there)
        _mount("-o", "remount,bind,rw", there)
        os.close(descriptor)
    if unit.get("ProcSubset") == ["pid"]:
        _mount("-t", "proc", "-o", "hidepid=invisible,subset=pid", "proc", "/proc")
    if "PrivateUsers" in on:
        _user_namespace(int(str(given["uid"])), int(str(given["gid"])))


def _user_namespace(uid: int, gid: int) -> None:
    """Enter a namespace in which root and the own user exist, and nobody else."""
    ours, theirs = socket.socketpair()
    parent, child = os.getpid(), os.fork()
    if child == 0:
        ours.close()
        theirs.recv(1)
        for kind, own in (("uid", uid), ("gid", gid)):
            Path(f"/proc/{parent}/{kind}_map").write_text(f"0 0 1\n{own} {own} 1\n")
        os._exit(0)
    theirs.close()
    _call(_libc.unshare(_CLONE_NEWUSER), "a user namespace")
    ours.send(b".")
    _, status = os.waitpid(child, 0)
    _call(-status, "the maps of the user namespace")


def _mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True, pass_fds=_directories(words))


def _directories(words: Sequence[str]) -> tuple[int, ...]:
    found = [re.fullmatch(r"/proc/self/fd/(\d+)", word) for word in words]
    return tuple(int(match[1]) for match in found if match)


class _Comparison(ctypes.Structure):
    _fields_ = (
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("datum_a", ctypes.c_uint64),
        ("datum_b", ctypes.c_uint64),
    )


def _filter(calls: set[str], families: Sequence[str]) -> None:
    library = ctypes.CDLL(_LIBSECCOMP)
    library.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(library.seccomp_init(_ERRNO | _EPERM))
    for name in sorted(calls - {"socket"} if families else calls):
        number = library.seccomp_syscall_resolve_name(name.encode())
        # Calls of other machines resolve to negative numbers: not ours to allow.
        if number >= 0:
            _call(library.seccomp_rule_add(context, _ALLOW, number, 0), name)
    number = library.seccomp_syscall_resolve_name(b"socket")
    known = {getattr(socket, family) for family in families}
    for family in range(socket.AF_UNSPEC, 46) if families else ():
        action = _ALLOW if family in known else _ERRNO | _EAFNOSUPPORT
        only = (_Comparison * 1)(_Comparison(0, _EQUAL, family, 0))
        _call(
            library.seccomp_rule_add_array(context, action, number, 1, only), "socket"
        )
    _call(library.seccomp_load(context), "the filter")


def _call(result: int, what: str) -> None:
    if result < 0:
        raise OSError(ctypes.get_errno(), f"the sandbox cannot have {what}")


_libc: Final = ctypes.CDLL(None, use_errno=True)

if __name__ == "__main__":
    _main(sys.argv[1:])
