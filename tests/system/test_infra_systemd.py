"""The systemd units, as far as systemd's own tools can judge them without running.

That a process really works inside them: test_infra_service.py, test_infra_split.py.
"""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest
from typer.main import get_command

from tests.simulators.service_sandbox import allowed_calls, settings
from vault.cli import app
from vault.config import PREFIX, Settings
from vault.serving.descriptors import MOST_KEPT, NAME_BYTES

FOLDER: Final = Path(__file__).parents[2] / "infra" / "systemd"
DROP_IN: Final = FOLDER / "callvault-.service.d" / "hardening.conf"
PROCESSES: Final = ("warden", "tap", "worker", "web")
SERVICES: Final = sorted(path.name for path in FOLDER.glob("*.service"))
CALLVAULT: Final = [name for name in SERVICES if name.startswith("callvault")]
MOST_EXPOSED: Final = 2.0

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None,
    reason="systemd-analyze is not installed (Debian: systemd)",
)


def analyze(*words: str) -> str:
    done = subprocess.run(
        ["systemd-analyze", *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=FOLDER,
    )
    return done.stdout + done.stderr


def service(name: str) -> dict[str, list[str]]:
    """Return what counts for *name*: the unit, then its drop-in."""
    drop_in = [DROP_IN] if name.startswith("callvault-") else []
    return settings([FOLDER / name, *drop_in])


@needs_systemd
def test_systemd_finds_nothing_wrong_but_that_callvault_is_not_installed() -> None:
    said = analyze("verify", *(str(path) for path in sorted(FOLDER.glob("*.*"))[1:]))
    expected = "Command /opt/callvault/bin/callvault is not executable"

    assert [] == [line for line in said.splitlines() if expected not in line]


@needs_systemd
@pytest.mark.parametrize("name", SERVICES)
def test_a_unit_is_exposed_to_little(name: str) -> None:
    said = analyze("security", "--offline=true", name)
    found = re.search(r"exposure level for \S+: ([0-9.]+)", said)

    assert found is not None
    assert MOST_EXPOSED >= float(found[1])


def test_there_is_a_unit_for_one_machine_and_one_for_each_process() -> None:
    expected = {"callvault.service", *(f"callvault-{one}.service" for one in PROCESSES)}

    # A witness belongs on somebody else's machine.
    assert expected | {"callvault-witness.service"} == set(CALLVAULT)


@pytest.mark.parametrize("name", CALLVAULT)
def test_a_unit_starts_a_command_that_exists(name: str) -> None:
    (line,) = service(name)["ExecStart"]
    program, command, *_ = line.split()

    assert "/opt/callvault/bin/callvault" == program
    assert command in get_command(app).list_commands(None)  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", CALLVAULT)
def test_a_unit_sets_what_the_configuration_knows(name: str) -> None:
    known = {PREFIX + field.upper() for field in Settings.model_fields}
    known |= {"CALLVAULT_CONFIG"}
    names = {line.partition("=")[0] for line in service(name).get("Environment", [])}

    assert set() == names - known


@pytest.mark.parametrize("name", CALLVAULT)
def test_memory_with_keys_stays_in_memory(name: str) -> None:
    unit = service(name)

    assert ["0"] == unit["LimitCORE"]
    assert ["infinity"] == unit["LimitMEMLOCK"]
    assert ["0"] == unit["MemorySwapMax"]


def test_the_passphrase_reaches_the_warden_and_no_other_process() -> None:
    holders = [name for name in CALLVAULT if "LoadCredentialEncrypted" in service(name)]

    assert ["callvault-warden.service", "callvault.service"] == holders


def test_only_the_warden_sees_other_users() -> None:
    """In a user namespace every peer is ``nobody``, and a role could not be told."""
    shared = [
        name for name in CALLVAULT if "yes" not in service(name).get("PrivateUsers", [])
    ]

    assert ["callvault-warden.service"] == shared


def test_recording_starts_and_goes_on_without_the_warden() -> None:
    text = (FOLDER / "callvault-tap.service").read_text()

    assert not re.search(r"^(Requires|BindsTo|PartOf)=", text, re.MULTILINE)


@pytest.mark.parametrize("name", ["callvault.service", "callvault-tap.service"])
def test_a_unit_that_takes_calls_has_a_store_for_their_descriptors(name: str) -> None:
    unit = service(name)

    assert ["notify"] == unit["Type"]
    assert ["main"] == unit["NotifyAccess"]
    assert [str(MOST_KEPT)] == unit["FileDescriptorStoreMax"]
    assert 2 * MOST_KEPT < int(unit["LimitNOFILE"][-1])
    assert ["continue"] == unit["OOMPolicy"]
    assert "StartLimitIntervalSec=0" in (FOLDER / name).read_text().splitlines()


def test_the_names_in_a_full_store_fit_into_the_environment() -> None:
    """The kernel starts no program with a variable longer than 128 KiB (execve(2))."""
    names = ":".join(["n" * NAME_BYTES] * MOST_KEPT)

    assert 128 * 1024 > len(f"LISTEN_FDNAMES={names}\0")


def test_media_workers_outlive_a_tap_and_nothing_outlives_serve() -> None:
    """ADR 9: a tap meets its workers again; `serve` finds ports and locks free."""
    assert ["process"] == service("callvault-tap.service")["KillMode"]
    assert ["mixed"] == service("callvault.service")["KillMode"]


def test_all_units_close_the_same_doors() -> None:
    """One machine and the split set-up differ in who the processes are, no more."""
    alone = service("callvault.service")
    common = settings([DROP_IN])

    assert {name: alone[name] for name in common} == common


@needs_systemd
@pytest.mark.parametrize("name", CALLVAULT)
def test_the_call_filter_lets_memory_be_locked_and_descriptors_be_passed(
    name: str,
) -> None:
    allowed = allowed_calls(service(name)["SystemCallFilter"])
    needed = {"mlockall", "prctl", "prlimit64", "recvmsg", "recvmmsg", "sendmsg"}
    needed |= {"epoll_wait", "fsync", "syncfs", "flock", "memfd_create", "socketpair"}
    needed |= {"sched_setaffinity"}

    assert set() == needed - allowed


@needs_systemd
@pytest.mark.parametrize("name", CALLVAULT)
def test_the_call_filter_keeps_intruders_from_looking_into_processes(name: str) -> None:
    allowed = allowed_calls(service(name)["SystemCallFilter"])
    forbidden = {"ptrace", "process_vm_readv", "mount", "bpf", "kexec_load", "swapon"}

    assert set() == forbidden & allowed
