#!/bin/sh
# The real parts that tests run on: brokers, a store, a browser. Missing ones are installed when this is root on
# Debian; otherwise the tests that need them skip, and say so (with CI=true they fail instead).
set -u
missing=""
need() { command -v "$1" >/dev/null 2>&1 || missing="$missing $2"; }
PATH="$PATH:/usr/sbin"
need mosquitto mosquitto
need mosquitto_sub mosquitto-clients
need influxd influxdb
need chromium chromium
need docker-compose docker-compose
need openssl openssl
need faketime faketime
fc-list 2>/dev/null | grep -q -i 'cjk\|wqy' || missing="$missing fonts-noto-cjk"
[ -z "$missing" ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  echo "Installing Debian packages that the tests use:$missing"
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null \
    || echo "They could not all be installed; tests that need them will say so."
else
  echo "Not installed here:$missing. Tests that need them skip. On Debian: sudo apt install$missing"
fi
exit 0
