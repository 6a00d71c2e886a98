#!/bin/sh
# Runs once, when InfluxDB's image has made organisation and bucket: adds the account with which Grafana and the console
# ask. It may read the bucket, and the one beside it in which `haina rollup` keeps the hours of old points, and do nothing
# else; the token, which may do everything, stays with our own collector and rollup.
set -eu
hourly=$(influx bucket create --name "$DOCKER_INFLUXDB_INIT_BUCKET-hourly" --hide-headers)
influx v1 auth create \
  --username reader \
  --password "$HAINA_INFLUX_READER_PASSWORD" \
  --read-bucket "$DOCKER_INFLUXDB_INIT_BUCKET_ID" \
  --read-bucket "${hourly%%[[:space:]]*}" \
  --description "Grafana and the console: read, and nothing else" >/dev/null
