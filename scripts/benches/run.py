"""Runs one bench by name and prints JSON lines (DESIGN: Benches)."""

import argparse
import importlib
import sys
from pathlib import Path

NAMES = ("seal", "tap", "playback", "render", "sip", "audit")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=NAMES)
    parser.add_argument(
        "--quick", action="store_true", help="a shorter run, noisier figures"
    )
    chosen = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).parent))
    importlib.import_module(f"bench_{chosen.name}").main(quick=chosen.quick)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
