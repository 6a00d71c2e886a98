#!/bin/sh
# Writes Mosquitto's password file from the environment, then becomes Mosquitto. Runs as an unprivileged user in a
# container whose only writable places are /mosquitto/data and /tmp; what it writes there is for this user alone.
set -eu
umask 077

run=/tmp/haina
mkdir -p "$run"
cp /mosquitto/config/acl "$run/acl"

: > "$run/passwords"
account() {
  case "$2" in
    '' | *[!A-Za-z0-9._~-]*)
      echo "mosquitto: the password of '$1' is empty or has other characters than letters, digits and . _ ~ -," \
        "which a broker URL could not carry; make a new .env (make env)" >&2
      exit 2
      ;;
  esac
  printf '%s:%s\n' "$1" "$2" >> "$run/passwords"
}
account simulator "${HAINA_MQTT_SIMULATOR_PASSWORD:-}"
account collector "${HAINA_MQTT_COLLECTOR_PASSWORD:-}"
account console "${HAINA_MQTT_CONSOLE_PASSWORD:-}"
health=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
account health "$health"
mosquitto_passwd -U "$run/passwords"  # replaces the passwords by salted hashes; none was ever on a command line

# What `mosquitto_sub` reads when it is called without arguments, as the health check does (XDG_CONFIG_HOME).
cat > "$run/mosquitto_sub" <<OPTIONS
-h 127.0.0.1
-p 1883
-u health
-P $health
-t \$SYS/broker/version
-C 1
-W 3
OPTIONS

unset HAINA_MQTT_SIMULATOR_PASSWORD HAINA_MQTT_COLLECTOR_PASSWORD HAINA_MQTT_CONSOLE_PASSWORD health
exec mosquitto -c /mosquitto/config/mosquitto.conf
