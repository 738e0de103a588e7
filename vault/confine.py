"""Landlock: a process gives up, for good, what it does not need.

A domain says what a process may still open, run and reach; the kernel refuses
everything else, also to its children, and nothing ever gives it back.

Guarantees, where the kernel has Landlock (5.19 and later):
    * What `Domain.never` names stays out of reach: no rule covers it, whatever folder
      it lies in, and `enter` tries to open it afterwards and tells if that worked.
    * What could not be had is returned by name, for readiness to say.
    * Descriptors that are open already go on working.

Left to others: which process needs what (`vault.serving.domains`).  Connecting to
a Unix socket by its path is not something Landlock governs: whoever listens there
asks for a proof (`vault.process.show_file`).

Spec: landlock(7), landlock_create_ruleset(2), landlock_add_rule(2)
"""

import ctypes
import os
import stat
import struct
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_ASK_VERSION: Final = 1
_PATH_BENEATH: Final = 1
_NET_PORT: Final = 2
_PR_SET_NO_NEW_PRIVS: Final = 38

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REMOVE_DIR, _REMOVE_FILE, _MAKE_DIR, _MAKE_REG = 1 << 4, 1 << 5, 1 << 7, 1 << 8
_MAKE_SOCK, _REFER, _TRUNCATE, _IOCTL_DEV = 1 << 9, 1 << 13, 1 << 14, 1 << 15
_OF_A_FILE: Final = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
_BIND_TCP, _CONNECT_TCP = 1 << 0, 1 << 1
_SCOPE_ABSTRACT, _SCOPE_SIGNAL = 1 << 0, 1 << 1

_READ: Final = _READ_FILE | _READ_DIR
_CHANGE: Final = (
    _READ
    | (_WRITE_FILE | _TRUNCATE | _REFER)
    | (_MAKE_REG | _MAKE_DIR | _REMOVE_FILE | _REMOVE_DIR)
)

# With version 1 alone no file can be linked or renamed into another folder.
_FIRST_ABI: Final = 2
_LATER: Final = (
    (3, "files out of reach can be emptied"),
    (4, "TCP ports are not limited"),
    (6, "processes of the same user can be signalled"),
)
"Which version brought what, and what is missing before it."

_RULESET: Final = struct.Struct("=QQQ")
_RULESET_SIZES: Final = ((6, 24), (4, 16), (0, 8))
_BENEATH: Final = struct.Struct("=Qi")
_PORT: Final = struct.Struct("=QQ")
_MOST_ENTRIES: Final = 4096

# From capability.h: what a process that runs as root may still do and needs not.
# With SYS_ADMIN or PERFMON it reads /proc/PID/environ and maps past any domain.
_NEEDLESS: Final = (
    *(
        8,
        12,
        13,
        16,
        17,
        18,
    ),  # SETPCAP, NET_ADMIN, NET_RAW, SYS_MODULE, _RAWIO, _CHROOT
    *(19, 21, 22, 27),  # SYS_PTRACE, SYS_ADMIN, SYS_BOOT, MKNOD
    *(32, 33, 34, 38, 39, 40),  # MAC_*, SYSLOG, PERFMON, BPF, CHECKPOINT_RESTORE
)
_CAPABILITY_VERSION_3: Final = 0x2008_0522
_CAPABILITIES: Final = struct.Struct("=6I")

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """What one process may still do.  Folders count with all that is in them."""

    reads: tuple[Path, ...] = ()
    lists: tuple[Path, ...] = ()
    "Folders whose names it may see, and no more."
    changes: tuple[Path, ...] = ()
    "Folders in which it reads, writes, makes and removes files."
    meets: tuple[Path, ...] = ()
    "Folders in which it also makes Unix sockets."
    writes: tuple[Path, ...] = ()
    "Single files and devices."
    runs: tuple[Path, ...] = ()
    "Programs that it may start, with their loader."
    never: tuple[Path, ...] = ()
    "What stays out of reach, whatever folder above is allowed."
    binds: tuple[int, ...] | None = ()
    "TCP ports that it may listen at; None: any."
    connects: tuple[int, ...] | None = ()
    "TCP ports that it may connect to; None: any."
    signals: bool = False
    "Whether it may signal processes outside."
    abstract_sockets: bool = False
    "Whether it may connect to abstract Unix sockets outside."

    def rules(self) -> Iterator[tuple[Path, int]]:
        """Give path and rights of every rule."""
        table = (
            (self.reads, _READ),
            (self.lists, _READ_DIR),
            (self.changes, _CHANGE),
            (self.meets, _CHANGE | _MAKE_SOCK),
            (self.writes, _READ_FILE | _WRITE_FILE),
            (self.runs, _READ_FILE | _EXECUTE),
        )
        closed = tuple(path.resolve() for path in self.never)
        for paths, rights in table:
            for path in paths:
                # Names are no secret, and modules are looked for in many places.
                whole = rights == _READ_DIR
                found = (path.resolve(),) if whole else outside(path, closed)
                for each in found:
                    yield each, rights


def keep_one_thread() -> None:
    """Ask libraries to start no threads when they are loaded; call it before that.

    A thread that runs already is not confined, and shares its memory with those that
    are.  Nothing here multiplies large matrices.
    """
    os.environ["OPENBLAS_NUM_THREADS"] = "1"


def landlock_version() -> int:
    """Return the version of Landlock that this kernel has; 0 means none."""
    return max(0, int(_libc.syscall(_CREATE_RULESET, None, 0, _ASK_VERSION)))


def enter(domain: Domain) -> tuple[str, ...]:
    """Enter *domain*, for good.  Call it before there is a second thread.

    Returns:
        What could not be had, as short phrases; empty when all is well.
    """
    version = landlock_version()
    if _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return ("not confined: programs may still raise their rights",)
    if version < _FIRST_ABI:
        return (
            "not confined: no Landlock (Linux 5.19), or its system calls are filtered",
        )
    gaps = [gap for since, gap in _LATER if version < since]
    threads = len(list(Path("/proc/self/task").iterdir()))
    try:
        _drop_capabilities()
        _restrict(domain, version)
    except OSError as exc:
        return (f"not confined: {exc.strerror}",)
    if threads > 1:
        gaps.append("threads that ran before are not confined")
    gaps += [f"not confined from {path}" for path in domain.never if _opens(path)]
    return tuple(gaps)


def outside(path: Path, closed: tuple[Path, ...]) -> Iterator[Path]:
    """Give *path*, or what is in it apart from what leads to one of *closed*.

    A rule on a folder covers all in it and nothing takes away from it, so a folder
    that holds something closed is spelled out.  What is made in it later is then not
    covered: whoever keeps a secret apart from other files loses nothing.
    """
    yield from _outside(path.resolve(), tuple(map(str, closed)))


def _outside(path: Path, closed: tuple[str, ...]) -> Iterator[Path]:
    # As text: every process asks this thousands of times before it is ready.
    name = str(path)
    if any(_is_within(name, one) for one in closed):
        return
    if not any(_is_within(one, name) for one in closed):
        yield path
        return
    with suppress(OSError):
        for entry in sorted(path.iterdir())[:_MOST_ENTRIES]:
            if not entry.is_symlink():
                yield from _outside(entry, closed)


def _is_within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def interpreter_reads() -> tuple[Path, ...]:
    """Return where this interpreter, its modules and libraries are read from."""
    named = {*sysconfig.get_paths().values(), *sys.path}
    cwd = Path.cwd()
    folders = {Path(name) for name in named if name and Path(name).is_dir()}
    # `python -m` looks where it was started, and that may be anywhere.
    folders = {one for one in folders if one.is_absolute() and one != cwd}
    # Plug-ins may be installed somewhere else altogether.
    for module in tuple(sys.modules.values()):
        if file := getattr(module, "__file__", None):
            home = Path(file).parent
            if home.is_absolute() and not folders & {home, *home.parents}:
                folders.add(home)
    folders.discard(cwd)
    return (
        *sorted(folders),
        Path(__file__).parent,
        Path(sys.prefix, "pyvenv.cfg"),
        Path(sysconfig.get_config_var("LIBDIR") or "/usr/lib"),
        *(Path(name) for name in ("/usr/lib", "/usr/lib64", "/lib", "/lib64")),
    )


def interpreter_lists() -> tuple[Path, ...]:
    """Return folders whose names the interpreter looks through for modules."""
    return (Path(__file__).parents[1], Path.cwd(), *map(Path, filter(None, sys.path)))


def interpreter_runs() -> tuple[Path, ...]:
    """Return what starting this interpreter again takes: itself and its loader."""
    program = Path(sys.executable)
    loader = _loader_of(program)
    return (program, loader) if loader else (program,)


def _loader_of(program: Path) -> Path | None:
    """Return what a program of ELF names as its loader, if it names one."""
    with program.open("rb") as file:
        head = file.read(64)
        if head[:5] != b"\x7fELF\x02":
            return None
        offset, size, count = (
            *struct.unpack_from("=Q", head, 32),
            *struct.unpack_from("=HH", head, 54),
        )
        for number in range(min(count, 64)):
            file.seek(offset + number * size)
            kind, _, at, _, _, length = struct.unpack("=IIQQQQ", file.read(40))
            if kind == 3:  # noqa: PLR2004 - PT_INTERP of elf(5)
                file.seek(at)
                return Path(os.fsdecode(file.read(min(length, 4096)).rstrip(b"\0")))
    return None


def _drop_capabilities() -> None:
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    sets = ctypes.create_string_buffer(_CAPABILITIES.size)
    if _libc.capget(header, sets) != 0:
        raise OSError(ctypes.get_errno(), "capabilities cannot be read")
    # Effective, permitted and inheritable, the first 32 bits of each, then the rest.
    left = list(held := _CAPABILITIES.unpack(sets.raw))
    for number in _NEEDLESS:
        for kind in range(3):
            left[kind + 3 * (number // 32)] &= ~(1 << number % 32)
    # Who has none of them, as under systemd, may be forbidden to ask at all.
    if tuple(left) == held:
        return
    if _libc.capset(header, _CAPABILITIES.pack(*left)) != 0:
        raise OSError(ctypes.get_errno(), "capabilities cannot be given back")


def _restrict(domain: Domain, version: int) -> None:
    handled = (1 << (16 if version >= 5 else 15 if version >= 3 else 14)) - 1  # noqa: PLR2004 - the versions that brought IOCTL_DEV and TRUNCATE
    net = 0 if domain.binds is None else _BIND_TCP
    net |= 0 if domain.connects is None else _CONNECT_TCP
    scoped = 0 if domain.signals else _SCOPE_SIGNAL
    scoped |= 0 if domain.abstract_sockets else _SCOPE_ABSTRACT
    size = next(size for since, size in _RULESET_SIZES if version >= since)
    attributes = _RULESET.pack(handled, net, scoped)[:size]
    ruleset = _call(_CREATE_RULESET, attributes, size, 0)
    try:
        for path, rights in domain.rules():
            _allow_path(ruleset, path, rights & handled)
        if version >= 4:  # noqa: PLR2004 - the version that brought TCP
            _allow_ports(ruleset, _BIND_TCP, domain.binds or ())
            _allow_ports(ruleset, _CONNECT_TCP, domain.connects or ())
        _call(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _allow_path(ruleset: int, path: Path, rights: int) -> None:
    try:
        at = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # not on this machine: nothing to allow
    try:
        if not stat.S_ISDIR(os.fstat(at).st_mode):
            rights &= _OF_A_FILE
        if rights:
            _call(_ADD_RULE, ruleset, _PATH_BENEATH, _BENEATH.pack(rights, at), 0)
    finally:
        os.close(at)


def _allow_ports(ruleset: int, right: int, ports: tuple[int, ...]) -> None:
    for port in ports:
        _call(_ADD_RULE, ruleset, _NET_PORT, _PORT.pack(right, port), 0)


def _call(number: int, *arguments: object) -> int:
    done: int = _libc.syscall(number, *arguments)
    if done < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return done


def _opens(path: Path) -> bool:
    """Try what must not work any more; of a folder, only its names can be had."""
    if path.is_dir():
        return False
    for flags in (os.O_RDONLY, os.O_WRONLY):
        try:
            os.close(os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC))
        except OSError:
            continue
        return True
    return False
