"""Builds limit.h into a module, with cffi, where there is a C compiler."""

import importlib.util
import sys
from pathlib import Path
from typing import Any

import cffi

_NAME = "_callvault_limit"
_CDEF = """
typedef struct { uint8_t octets[65536]; uint32_t used; uint8_t queued; } call_t;
typedef struct { uint64_t packets, refused; int ready_count; int *ready;
                 call_t *calls; ...; } limit_t;
limit_t *limit_new(int streams, intptr_t unprotect, int stage, int enough);
void limit_add(limit_t *one, int i, int fd, intptr_t session);
int limit_turn(limit_t *one, int streams, int wait_ms, int per_packet);
"""


def build(folder: Path) -> str:
    """Compile the module into *folder*; an empty string, and why on stderr, if not."""
    ffi = cffi.FFI()
    ffi.cdef(_CDEF)
    here = str(Path(__file__).resolve().parent)
    ffi.set_source(
        _NAME, '#include "limit.h"', include_dirs=[here], extra_compile_args=["-O2"]
    )
    try:
        return str(ffi.compile(tmpdir=str(folder)))
    except (cffi.VerificationError, OSError) as error:
        print(f"no C variants, they cannot be built: {error}", file=sys.stderr)
        return ""


def load(path: str) -> Any:
    """Import the built module."""
    spec = importlib.util.spec_from_file_location(_NAME, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
