"""Pushing the dashboards to a Grafana server, through its HTTP API.

Everything has a fixed uid, so pushing again replaces what was pushed before. A dashboard that Grafana was
*provisioned* with from files belongs to those files: Grafana refuses to have it replaced, and so do we say.
"""

from collections.abc import Callable
from typing import Any

from grafana_client.api import GrafanaApi
from grafana_client.client import GrafanaBadInputError, GrafanaClientError, GrafanaException, GrafanaServerError

from dashboards.grafana.render import FOLDER_UID, dashboards
from dashboards.text import Language
from haina.store_url import StoreURL, is_web_address

DATA_SOURCE_UID = "haina-influxdb"
TIMEOUT_S = 15.0


class PushRefused(Exception):
    """Grafana could not be reached or would not; the message is one sentence that says what to do."""


class NotPushable(PushRefused):
    """What was given cannot be pushed anywhere; Grafana was not asked."""


def push(
    grafana: str,
    token: str | None,
    languages: tuple[Language, ...],
    influx: StoreURL | None = None,
    influx_token: str | None = None,
    said: Callable[[str], None] = lambda _line: None,
) -> None:
    """Push folder, dashboards and, when `influx` is given, the data source. Raises PushRefused."""
    if "@" in grafana:
        raise NotPushable("the URL must hold no user or password; set HAINA_GRAFANA_TOKEN instead")
    if not is_web_address(grafana):
        raise NotPushable(f"--grafana takes a URL such as http://127.0.0.1:3000, got {grafana[:200]!r}")
    api: Any = GrafanaApi.from_url(grafana, credential=token or None, timeout=TIMEOUT_S)  # untyped below this call
    try:
        if influx is not None:
            _data_source(api, influx, influx_token)
            said(f"data source {DATA_SOURCE_UID}: {influx.base_url}")
        _folder(api)
        said(f"folder {FOLDER_UID}")
        for language in languages:
            for model in dashboards(language).values():
                api.dashboard.update_dashboard({"dashboard": model, "folderUid": FOLDER_UID, "overwrite": True})
                said(f"dashboard {model['uid']}: {model['title']}")
    except GrafanaBadInputError as refused:
        raise PushRefused(
            f"{grafana} refused: {refused.message}; a dashboard provisioned from files cannot be replaced by pushing"
        ) from None
    except GrafanaClientError as refused:
        raise PushRefused(f"{grafana} refused: {refused.message}{_way_out(refused.status_code)}") from None
    except GrafanaServerError as failed:
        raise PushRefused(f"{grafana} cannot be used: {failed}") from None
    except (GrafanaException, OSError) as failed:
        raise PushRefused(f"no Grafana answers at {grafana} ({_cause(failed)})") from None


def _cause(failed: Exception) -> str:
    """What the last of the libraries below said: requests and urllib3 wrap it in addresses of their objects."""
    said = str(failed)
    for known in ("Connection refused", "Failed to resolve", "CERTIFICATE_VERIFY_FAILED", "WRONG_VERSION_NUMBER"):
        if known in said:
            return known.replace("_", " ").lower()
    return said


def _way_out(status_code: int) -> str:
    if status_code == 401:
        return "; is HAINA_GRAFANA_TOKEN set and valid?"
    if status_code == 403:
        return "; the token's role may not do that (--influx needs Admin), or it was provisioned from files"
    return ""


def _data_source(api: Any, influx: StoreURL, token: str | None) -> None:
    if influx.kind != "influxdb":
        raise NotPushable(f"Grafana reads InfluxDB only; --influx cannot be {influx}")
    wanted: dict[str, Any] = {
        "uid": DATA_SOURCE_UID,
        "name": "Haina",
        "type": "influxdb",
        "access": "proxy",
        "url": influx.base_url,
        "jsonData": {"dbName": influx.bucket, "httpMode": "POST", "version": "InfluxQL"},
        "secureJsonData": {},
    }
    if token and ":" in token:  # an account that may only read, as the console's in the full stack
        user, _, password = token.partition(":")
        wanted |= {"basicAuth": True, "basicAuthUser": user}
        wanted["secureJsonData"]["basicAuthPassword"] = password
    elif token:
        wanted["jsonData"]["httpHeaderName1"] = "Authorization"
        wanted["secureJsonData"]["httpHeaderValue1"] = f"Token {token}"
    try:
        api.datasource.get_datasource_by_uid(DATA_SOURCE_UID)
    except GrafanaClientError as missing:
        if missing.status_code != 404:
            raise
        api.datasource.create_datasource(wanted)
    else:
        api.datasource.update_datasource_by_uid(DATA_SOURCE_UID, wanted)


def _folder(api: Any) -> None:
    try:
        api.folder.get_folder(FOLDER_UID)
    except GrafanaClientError as missing:
        if missing.status_code != 404:
            raise
        api.folder.create_folder("Haina", FOLDER_UID)
