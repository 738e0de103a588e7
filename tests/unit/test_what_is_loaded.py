"""What a process never has in its memory, since nothing that it serves needs it."""

import json
import subprocess
import sys

import pytest

PARSERS_OF_MEDIA = ("numpy", "pylibsrtp", "av", "vault.tap.srtp")
FRAMEWORKS = ("fastapi", "starlette", "uvicorn", "minio")


@pytest.mark.parametrize(
    ("module", "foreign"),
    [
        ("vault.serving.parent", (*PARSERS_OF_MEDIA, *FRAMEWORKS)),
        ("vault.serving.warden", (*PARSERS_OF_MEDIA, *FRAMEWORKS)),
        ("vault.serving.web", PARSERS_OF_MEDIA),
        ("vault.commands.people", (*PARSERS_OF_MEDIA, *FRAMEWORKS)),
    ],
)
def test_it_loads_nothing_that_it_has_no_use_for(
    module: str, foreign: tuple[str, ...]
) -> None:
    asked = f"import json, sys, {module}; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", asked], capture_output=True, text=True, check=True
    )
    loaded = set(json.loads(done.stdout))

    assert module in loaded
    assert set() == loaded & set(foreign)
