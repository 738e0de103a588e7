"""Each test hardens a child: what `harden` takes away does not come back."""

import json
import signal
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


def in_a_child(code: str) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=REPOSITORY,
        capture_output=True,
        check=True,
        text=True,
    )
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def test_a_hardened_process_dumps_no_core_and_makes_private_files(
    tmp_path: Path,
) -> None:
    found = in_a_child(
        f"""
import ctypes, json, os, resource
from vault.process import harden
missing = harden()
open({str(tmp_path / "file")!r}, "w").close()
print(json.dumps({{
    "missing": list(missing),
    "core": resource.getrlimit(resource.RLIMIT_CORE),
    "dumpable": ctypes.CDLL(None).prctl(3, 0, 0, 0, 0),
    "mode": os.stat({str(tmp_path / "file")!r}).st_mode & 0o777,
}}))
"""
    )

    assert (found["core"], found["dumpable"], found["mode"]) == ([0, 0], 0, 0o600)
    assert "memory can be read by processes of the same user" not in str(found)


def test_what_could_not_be_had_is_named() -> None:
    """Without RLIMIT_MEMLOCK and CAP_IPC_LOCK memory cannot be locked."""
    found = in_a_child(
        """
import json, resource
import vault.process as process
resource.setrlimit(resource.RLIMIT_MEMLOCK, (0, 0))
process._libc.mlockall = lambda flags: -1
process._swap_exists = lambda: True
process._cgroup_swap_max = lambda: "max"
first = process.harden()
process._cgroup_swap_max = lambda: "0"
print(json.dumps({"first": first, "second": process.harden()}))
"""
    )

    assert found == {
        "first": ["memory may be swapped out (raise RLIMIT_MEMLOCK)"],
        "second": [],
    }


def test_a_machine_without_swap_needs_no_locked_memory() -> None:
    found = in_a_child(
        """
import json
import vault.process as process
process._libc.mlockall = lambda flags: -1
process._swap_exists = lambda: False
print(json.dumps({"missing": process.harden()}))
"""
    )

    assert found == {"missing": []}


def test_hardened_memory_still_holds_what_a_process_needs() -> None:
    found = in_a_child(
        """
import json, threading
from vault.process import harden
harden()
threads = [threading.Thread(target=bytes, args=(1 << 20,)) for _ in range(32)]
for each in threads: each.start()
for each in threads: each.join()
print(json.dumps({"size": len(bytearray(64 << 20))}))
"""
    )

    assert found == {"size": 64 << 20}


def test_a_child_dies_with_its_parent() -> None:
    """
    The parent starts a child that asks to die with it, and is killed; the pipe
    that only the child still holds is then closed by nothing but its death.
    """
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"""
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", '''
import sys, time
from vault.process import die_with_parent
die_with_parent({int(signal.SIGTERM)})
sys.stdout.write("ready\\\\n"); sys.stdout.flush()
time.sleep(600)
'''])
time.sleep(600)
""",
        ],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    with parent.stdout as said:
        assert said.readline() == "ready\n"
        parent.kill()
        parent.wait()

        assert said.read() == ""


def test_memory_that_was_freed_in_between_is_given_back() -> None:
    found = in_a_child(
        """
import json
from pathlib import Path
from vault.process import give_back_memory
def resident_pages():
    return int(Path("/proc/self/statm").read_text().split()[1])
# Too small for a mapping of its own, and every hundredth stays.
held = [bytearray(60_000) for _ in range(1000)]
kept, held = held[::100], None
before = resident_pages()
give_back_memory()
print(json.dumps({"pages": before - resident_pages(), "kept": len(kept)}))
"""
    )

    assert isinstance(found["pages"], int)
    assert found["pages"] > 5000
