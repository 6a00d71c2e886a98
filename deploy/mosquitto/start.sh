#!/bin/sh
# Adds the health check's account to those that `haina credentials` made, then becomes Mosquitto. Runs as an unprivileged
# user in a container whose only writable places are /mosquitto/data and /tmp; what it writes is for this user alone.
set -eu
umask 077

secrets=/mosquitto/secrets
run=/tmp/haina
mkdir -p "$run"

# This password is made at each start and never leaves the container; Mosquitto gets a salted hash of it.
health=$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')
printf 'health:%s\n' "$health" > "$run/health"
mosquitto_passwd -U "$run/health"
cat "$secrets/passwords" "$run/health" > "$run/passwords"
{
  cat "$secrets/acl"
  printf '\nuser health\ntopic read $SYS/broker/version\n'
} > "$run/acl"

# What `mosquitto_sub` reads when it is called without arguments, as the health check does (XDG_CONFIG_HOME).
cat > "$run/mosquitto_sub" <<OPTIONS
-h localhost
-p 8883
--cafile $secrets/ca.pem
-u health
-P $health
-t \$SYS/broker/version
-C 1
-W 3
OPTIONS

unset health
exec mosquitto -c /mosquitto/config/mosquitto.conf
