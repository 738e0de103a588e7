# Sourced by the other scripts: leaves an up-to-date .venv behind.
# Needs a POSIX shell and Python >= 3.11 with venv; nothing else.
set -eu
cd "$(dirname "$0")/.."

find_python() {
  for candidate in "${PYTHON:-}" python3.13 python3.12 python3.11 python3; do
    [ -n "$candidate" ] || continue
    command -v "$candidate" >/dev/null 2>&1 || continue
    if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
  return 1
}

say() { printf '%s\n' "$*" >&2; }

stamp() {
  { cat requirements.lock pyproject.toml hatch_build.py scripts/bootstrap.sh
    find vault/web/assets -type f -not -path '*/node_modules/*' | LC_ALL=C sort | xargs cat
  } | cksum
}

bootstrap() {
  python=$(find_python) || {
    say "Callvault needs Python 3.11 to 3.13 (Debian: apt-get install python3 python3-venv)."
    exit 1
  }
  if [ ! -x .venv/bin/python ]; then
    say "Making .venv ..."
    "$python" -m venv .venv || {
      say "This Python has no venv (Debian: apt-get install python3-venv)."
      exit 1
    }
  fi
  want=$(stamp)
  if [ "$(cat .venv/.stamp 2>/dev/null || true)" != "$want" ]; then
    say "Installing packages (hash-checked) and building the pages; about a minute the first time ..."
    [ -x .venv/bin/uv ] || .venv/bin/python -m pip -q --disable-pip-version-check install 'uv>=0.9,<1'
    .venv/bin/uv pip install -q --python .venv/bin/python --require-hashes -r requirements.lock
    .venv/bin/uv pip install -q --python .venv/bin/python --no-deps -e .
    printf %s "$want" > .venv/.stamp
  fi
}
