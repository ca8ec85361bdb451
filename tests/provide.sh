#!/bin/sh
# Brings what the tests need beyond Python: a browser, what the tutorials use, and Redis. Java and PostgreSQL come as
# wheels, Kafka from Maven Central.
set -eu
missing=""
command -v chromium >/dev/null 2>&1 || command -v google-chrome >/dev/null 2>&1 || missing="chromium fonts-dejavu-core"
for tool in curl jq redis-server; do
  command -v "$tool" >/dev/null 2>&1 || missing="$missing $tool"
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  apt-get update -qq
  # shellcheck disable=SC2086 - a list of packages
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
  exit 0
fi
echo "The tests need these packages: $missing" >&2
exit 1
