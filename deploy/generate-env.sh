#!/bin/sh
# Makes the .env file that docker-compose.yml asks for: a random password for every account of the full stack
# that is not of MQTT; those the service `credentials` makes.
# Refuses to replace one, for the databases remember the passwords they were made with.
#
#   sh deploy/generate-env.sh [FILE]      FILE is .env beside docker-compose.yml unless given
set -eu
umask 077
file=${1:-$(cd "$(dirname "$0")/.." && pwd)/.env}

if [ -e "$file" ] || [ -L "$file" ]; then
  echo "$file exists and is kept: InfluxDB and Grafana remember the passwords they were set up with." >&2
  echo "For new ones, delete the data first (docker compose down --volumes), then the file." >&2
  exit 1
fi

secret() { # 192 bits as letters and digits alone, so that they fit into URLs and files without quoting
  if command -v openssl >/dev/null 2>&1; then
    openssl rand -hex 24
  else
    python3 -c 'import secrets; print(secrets.token_hex(24))'
  fi
}

text="# Secrets of the full stack, made at random by deploy/generate-env.sh. Keep it private; git and images ignore it.
COMPOSE_PROJECT_NAME=haina"
for name in HAINA_COLLECTOR_TOKEN HAINA_CONSOLE_PASSWORD HAINA_GRAFANA_PASSWORD HAINA_GRAFANA_SECRET_KEY \
  HAINA_INFLUX_PASSWORD HAINA_INFLUX_TOKEN HAINA_INFLUX_READER_PASSWORD; do
  value=$(secret)
  if [ "${#value}" -ne 48 ]; then
    echo "No random numbers to be had: install openssl or Python 3 and try again." >&2
    exit 1
  fi
  text="$text
$name=$value"
done
text="$text

# Settings; what stands here is the default.
#HAINA_SCENARIO=laptop
#HAINA_SEED=1
#HAINA_HISTORY=24h
#HAINA_SPEED=1
#HAINA_LANGUAGE=en
#HAINA_RETENTION=400d
#HAINA_CONSOLE_PORT=8080
#HAINA_GRAFANA_PORT=3000
#HAINA_INFLUX_PORT=8086
#HAINA_MQTT_PORT=8883
#HAINA_COLLECTOR_PORT=8791"

set -C # never write over a file that came into being meanwhile
printf '%s\n' "$text" > "$file"
echo "Wrote $file. The console asks for HAINA_CONSOLE_PASSWORD; Grafana for admin and HAINA_GRAFANA_PASSWORD."
