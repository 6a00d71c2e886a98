# One image for the collector, the simulator and the console: docker build -t haina .
# The first stage installs what requirements.lock says, hash by hash and from wheels alone, so that no compiler is
# needed; the second takes the finished environment and nothing else. tests/deploy runs these steps without Docker.

FROM python:3.11.16-slim-bookworm AS build
WORKDIR /src
RUN python -m venv /opt/haina
COPY requirements.lock ./
RUN /opt/haina/bin/pip install --no-cache-dir --only-binary :all: --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY haina ./haina
COPY simulator ./simulator
COPY collector ./collector
COPY dashboards ./dashboards
RUN /opt/haina/bin/pip install --no-cache-dir --no-deps --no-build-isolation .

FROM python:3.11.16-slim-bookworm
# The user has the number of the user in Mosquitto's image, so that what `haina credentials` writes for its owner alone
# can be read there too. A volume that is new takes the owner and mode of the folder it is mounted on.
RUN useradd --system --uid 1883 --home-dir /data --shell /usr/sbin/nologin haina \
  && install --directory --owner haina --group haina --mode 700 /data /secrets \
    /secrets/mosquitto /secrets/simulator /secrets/collector /secrets/console
COPY --from=build /opt/haina /opt/haina
ENV PATH=/opt/haina/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER haina
WORKDIR /data
ENTRYPOINT ["haina"]
CMD ["--help"]
