// The collector's own account, and how old the newest reading of each measurement is.
import { live } from "/assets/live.js";
import { h } from "/assets/dom.js";
import { deviceName, measurements, number, quietS, span, t } from "/assets/words.js";

const QUIET_S = 7_200; // what reports by the clock does so hourly at least

const STATES = {
  online: () => t("console.device_online"),
  silent: () => t("console.device_silent"),
  offline: () => t("console.device_offline"),
  unknown: () => t("console.device_unknown"),
};

export function line(element) {
  const account = h("section", { class: "panel account", "aria-labelledby": "title-account" });
  const fresh = h("section", { class: "panel fresh", "aria-labelledby": "title-fresh" });
  const devices = h("section", { class: "panel devices", "aria-labelledby": "title-devices" });
  element.replaceChildren(h("div", { class: "line" }, account, fresh, devices));

  function draw() {
    const told = live.line;
    account.replaceChildren(h("h2", { id: "title-account", text: t("console.account") }), ...drawAccount(told?.status));
    fresh.replaceChildren(h("h2", { id: "title-fresh", text: t("console.fresh") }), drawFresh(told));
    devices.replaceChildren(h("h2", { id: "title-devices", text: t("console.devices") }), ...drawDevices(told));
  }

  draw();
  const offs = [live.on("line", draw), live.on("state", draw)];
  return () => offs.forEach((off) => off());
}

function figure(name, value, level = "") {
  return h("div", { class: `sum ${level}` }, h("b", { text: value }), h("span", { text: name }));
}

function drawAccount(status) {
  if (!status) return [h("p", { class: "empty", text: t("console.no_account") })];
  const { counters, stores, rates, journal } = status;
  const equation = h(
    "div",
    { class: "equation" },
    figure(t("console.received"), number(counters.received)),
    h("span", { class: "sign", text: "=" }),
    figure(t("console.journaled"), number(counters.journaled)),
    h("span", { class: "sign", text: "+" }),
    figure(t("console.rejected"), number(counters.rejected), counters.rejected ? "watch" : ""),
    h("span", { class: "sign", text: "+" }),
    figure(t("console.duplicates"), number(counters.duplicates)),
    h("span", { class: "sign", text: "+" }),
    figure(t("console.in_memory"), number(counters.in_memory)),
  );
  const stored = stores.map((store) =>
    h(
      "tr",
      {},
      h("th", { scope: "row", text: store.name }),
      h("td", { text: number(store.stored) }),
      h("td", { text: number(store.pending) }),
      h("td", { class: store.refused ? "watch" : "", text: number(store.refused) }),
      h("td", { text: number(store.forgotten) }),
      h("td", { text: t("console.span_s", { n: number(store.lag_s, 1) }) }),
      h("td", { text: store.latency_ms_p99 === null ? "–" : `${number(store.latency_ms_p99)} ms` }),
    ),
  );
  const heads = [t("console.store"), t("console.stored"), t("console.pending"), t("console.refused"), t("console.forgotten"), t("console.lag"), t("console.latency_p99")];
  const table = h("table", {}, h("thead", {}, h("tr", {}, ...heads.map((words) => h("th", { scope: "col", text: words })))), h("tbody", {}, ...stored));
  const small = [
    [t("console.rate_received"), `${number(rates.received_hz, 1)}/s`],
    [t("console.missing"), number(counters.missing)],
    [t("console.journal_size"), `${number(journal.bytes / 1e6, 1)} MB`],
    [t("console.commit_p99"), journal.commit_ms_p99 === null ? "–" : `${number(journal.commit_ms_p99, 1)} ms`],
  ];
  return [
    equation,
    h("div", { class: "scroll" }, table),
    h("dl", { class: "small" }, ...small.flatMap(([name, value]) => [h("dt", { text: name }), h("dd", { text: value })])),
  ];
}

// How many devices are how, and the ones to look at first.
function drawDevices(told) {
  const devices = told?.status?.devices;
  if (!devices) return [h("p", { class: "empty", text: t("console.no_account") })];
  const counts = h(
    "div",
    { class: "equation" },
    ...Object.entries(STATES).map(([state, name]) => figure(name(), number(devices.states[state]), state === "silent" && devices.states[state] ? "watch" : "")),
  );
  if (!devices.worst.length) return [counts, h("p", { class: "empty", text: t("console.devices_well") })];
  const now = told.status.clock?.time ?? told.now_ms;
  const heads = [
    t("console.device"),
    t("console.device_state"),
    t("console.last_seen"),
    t("console.expected"),
    t("console.received"),
    t("console.missing"),
    t("console.duplicates"),
  ];
  const rows = devices.worst.map((device) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, `${deviceName(device.device)} `, h("code", { text: `${device.site}/${device.device}` })),
      h("td", { class: device.state === "silent" ? "watch" : "", text: STATES[device.state]() }),
      h("td", { text: device.last_seen === null ? "–" : t("console.ago", { span: span(Math.max(0, (now - device.last_seen) / 1000)) }) }),
      h("td", { text: number(device.expected) }),
      h("td", { text: number(device.received) }),
      h("td", { class: device.missing ? "watch" : "", text: number(device.missing) }),
      h("td", { text: number(device.duplicates) }),
    ),
  );
  const head = h("thead", {}, h("tr", {}, ...heads.map((words) => h("th", { scope: "col", text: words }))));
  return [counts, h("div", { class: "scroll" }, h("table", {}, head, h("tbody", {}, ...rows)))];
}

function quiet(name) {
  return name in quietS ? (quietS[name] ?? Infinity) : QUIET_S;
}

function drawFresh(told) {
  const now = live.state?.clock?.time ?? told?.now_ms ?? 0;
  const rows = measurements.map((name) => {
    const latest = told?.latest_ms?.[name];
    const ageS = latest ? Math.max(0, (now - latest) / 1000) : null;
    const level = ageS === null ? "none" : ageS > quiet(name) ? "watch" : "";
    return h("li", { class: level }, h("span", { text: t(`line.m_${name}`) }), h("b", { text: ageS === null ? "–" : span(ageS) }));
  });
  return h("ul", { class: "ages" }, ...rows);
}
