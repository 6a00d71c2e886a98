#!/bin/sh
# Runs once, when InfluxDB's image has made organisation and bucket: adds the account with which Grafana asks. It may
# read the bucket and do nothing else; the token, which may do everything, stays with our own collector and console.
set -eu
influx v1 auth create \
  --username reader \
  --password "$HAINA_INFLUX_READER_PASSWORD" \
  --read-bucket "$DOCKER_INFLUXDB_INIT_BUCKET_ID" \
  --description "Grafana: reads, and nothing else" >/dev/null
