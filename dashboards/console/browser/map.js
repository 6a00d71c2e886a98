// The town's map: the drawn zone as vector layers, and every site as a dot on one canvas. No tiles, nobody asked.
import { leaflet as L } from "nicegui-leaflet";
import { live } from "/assets/live.js";
import { act, answerPlace } from "/assets/act.js";
import { colour, h } from "/assets/dom.js";
import { areaName, clockTime, deviceName, errandName, kinds, language, number, says, siteName, t } from "/assets/words.js";

const ORDER = ["outline", "park", "square", "temple", "creek", "pond", "street", "road", "hall", "metro", "area", "station"];
const STATES = {
  online: () => t("console.state_online"),
  offline: () => t("console.state_offline"),
  fault: () => t("console.state_fault"),
  unknown: () => t("console.health_unknown"),
};
const MEMBERS = {
  travelling: { colour: "fill-watch", name: () => t("console.member_travelling") },
  working: { colour: "fill-good", name: () => t("console.member_working") },
  returning: { colour: "fill-calm", name: () => t("console.member_returning") },
};
const HELPERS = {
  telephone: () => t("console.help_call"),
  volunteer: () => t("console.help_volunteer"),
  nurse: () => t("console.help_nurse"),
  ambulance: () => t("console.help_ambulance"),
};
const UNDECLARED = { colour: "teal", radius: 4, headlines: {} };
const kindOf = (site) => kinds[site.kind] ?? UNDECLARED; // a kind that no page is about
const IS_SMALL = 4; // a radius below which a dot is one of many

function groundStyle(kind) {
  const none = { stroke: false, fill: false, interactive: false };
  const filled = (name, opacity = 1) => ({ ...none, fill: true, fillColor: colour(name), fillOpacity: opacity });
  const drawn = (name, weight, more = {}) => ({ ...none, stroke: true, color: colour(name), weight, opacity: 1, lineCap: "round", ...more });
  switch (kind) {
    case "outline":
      return { ...filled("ground"), ...drawn("ground-edge", 1.5), fill: true };
    case "park":
      return filled("ground-park");
    case "square":
      return filled("ground-square");
    case "temple":
      return filled("ground-temple");
    case "hall":
      return filled("ground-hall");
    case "creek":
    case "pond":
      return filled("ground-water");
    case "road":
      return drawn("ground-road", 6);
    case "street":
      return drawn("ground-street", 2);
    case "metro":
      return drawn("ground-metro", 2, { dashArray: "6 5" });
    case "area":
      return drawn("ground-edge", 1, { dashArray: "2 5", opacity: 0.9 });
    default:
      return none;
  }
}

function dotStyle(site, zoom) {
  const grown = 1.28 ** Math.max(zoom - 14.5, -1);
  const kind = kindOf(site);
  const radius = kind.radius * grown;
  const isSmall = kind.radius < IS_SMALL;
  const base = { radius, weight: isSmall ? 0.5 : 1.6, color: colour("dot-edge"), fillOpacity: isSmall ? 0.8 : 0.96, opacity: 1 };
  switch (site.state) {
    case "fault":
      return { ...base, fillColor: colour("fill-bad"), radius: radius * 1.15 };
    case "offline":
      return { ...base, fillColor: colour("fill-off") };
    case "unknown":
      return { ...base, fillColor: colour("raised"), color: colour("fill-off"), weight: 1.2 };
    default:
      return { ...base, fillColor: colour(`dot-${kind.colour}`) };
  }
}

export function map(element) {
  const place = h("div", { class: "ground" });
  const legend = h("ul", { class: "legend" });
  const kindLegend = h("ul", { class: "legend kinds" });
  const note = h("p", { class: "illustrative", text: t("console.illustrative") });
  element.replaceChildren(
    h("section", { class: "panel map", "aria-label": t("console.map_of_town") }, place, legend, kindLegend, note),
  );
  const chart = L.map(place, {
    preferCanvas: true,
    renderer: L.canvas({ padding: 0.3 }),
    attributionControl: false,
    zoomControl: false,
    zoomSnap: 0.25,
    scrollWheelZoom: false,
    minZoom: 13,
    maxZoom: 18,
  });
  L.control.zoom({ position: "topright", zoomInTitle: t("console.zoom_in"), zoomOutTitle: t("console.zoom_out") }).addTo(chart);
  chart.setView([31.25, 121.4], 14.5);
  place.addEventListener("click", () => chart.scrollWheelZoom.enable()); // only then, lest it catch who scrolls past
  place.addEventListener("mouseleave", () => chart.scrollWheelZoom.disable());

  const ground = [];
  const labels = L.layerGroup().addTo(chart);
  const dots = new Map();
  const dotLayer = L.layerGroup().addTo(chart);
  const memberLayer = L.layerGroup().addTo(chart);
  let bounds = null;
  let isTouched = false;
  let popupSite = "";
  const popup = L.popup({ minWidth: 210, maxWidth: 280, autoPanPadding: [24, 24] });
  popup.on("remove", () => (popupSite = ""));
  chart.on("dragstart", () => (isTouched = true));

  drawGround();
  const observer = new ResizeObserver(() => {
    chart.invalidateSize({ pan: false });
    if (bounds && !isTouched) chart.fitBounds(bounds, { padding: [6, 6], animate: false });
  });
  observer.observe(place);
  chart.on("zoomend", () => {
    for (const [id, dot] of dots) dot.setStyle(dotStyle(live.sites.get(id) ?? dot.site, chart.getZoom())).setRadius(dotStyle(dot.site, chart.getZoom()).radius);
    sizeLabels();
  });

  function sizeLabels() {
    place.classList.toggle("far", chart.getZoom() < 15);
    if (bounds) place.classList.toggle("near", chart.getZoom() > chart.getBoundsZoom(bounds) + 0.6);
  }

  async function drawGround() {
    const answer = await fetch("/api/zone.geojson");
    const zone = await answer.json();
    const features = [...zone.features].sort((one, other) => ORDER.indexOf(one.properties.kind) - ORDER.indexOf(other.properties.kind));
    for (const feature of features) {
      const { kind } = feature.properties;
      if (kind === "station") {
        const [longitude, latitude] = feature.geometry.coordinates;
        label([latitude, longitude], feature.properties[`name_${language}`], "station");
        continue;
      }
      const layer = L.geoJSON(feature, { style: groundStyle(kind), interactive: false });
      layer.kind = kind;
      ground.push(layer.addTo(chart));
      if (kind === "outline") bounds = layer.getBounds();
      if (kind === "area") label(middle(feature), feature.properties[`name_${language}`], "area");
      if (kind === "park") label(layer.getBounds().getCenter(), feature.properties[`name_${language}`], "spot");
      if (kind === "creek" && feature.id === "creek") label([31.2497, 121.4093], feature.properties[`name_${language}`], "water");
    }
    dotLayer.eachLayer((dot) => dot.bringToFront());
    chart.fitBounds(bounds, { padding: [6, 6], animate: false });
    chart.setMaxBounds(bounds.pad(0.6));
    sizeLabels();
    openChosen();
    element.dataset.drawn = "yes";
  }

  function middle(feature) {
    const ring = feature.geometry.coordinates[0].slice(1);
    const sum = ring.reduce(([x, y], [longitude, latitude]) => [x + longitude, y + latitude], [0, 0]);
    return [sum[1] / ring.length, sum[0] / ring.length];
  }

  function label(at, words, kind) {
    const icon = L.divIcon({ className: `label ${kind}`, html: h("span", { text: words }), iconSize: null });
    L.marker(at, { icon, interactive: false, keyboard: false }).addTo(labels);
  }

  function drawSite(site) {
    const style = dotStyle(site, chart.getZoom());
    const known = dots.get(site.id);
    if (known) {
      known.site = site;
      known.setLatLng([site.lat, site.lon]).setStyle(style);
      known.setRadius(style.radius);
    } else {
      const dot = L.circleMarker([site.lat, site.lon], { ...style, bubblingMouseEvents: false });
      dot.site = site;
      dot.on("click", () => open(dot.site.id));
      dots.set(site.id, dot.addTo(dotLayer));
    }
  }

  function drawSites(changed) {
    if (changed === null || changed === undefined) {
      for (const [id, dot] of dots) {
        if (!live.sites.has(id)) {
          dot.remove();
          dotLayer.removeLayer(dot);
          dots.delete(id);
        }
      }
      // The small first, so that the few centres lie on top of the many homes.
      const all = [...live.sites.values()].sort((one, other) => kindOf(one).radius - kindOf(other).radius);
      all.forEach(drawSite);
    } else {
      changed.forEach(drawSite);
    }
    element.dataset.sites = dots.size;
    drawLegend();
    drawKinds();
    if (popupSite && changed?.some((site) => site.id === popupSite)) fillPopup(popupSite);
  }

  // Who is under way: a diamond that moves, the way ahead, and a ring around the site it is about.
  function drawMembers() {
    memberLayer.clearLayers();
    let shown = 0;
    for (const member of live.members.values()) {
      if (member.state === "waiting") continue;
      shown += 1;
      const at = [member.lat, member.lon];
      const site = live.sites.get(member.destination);
      if (site && member.state !== "returning") {
        const to = [site.lat, site.lon];
        L.circleMarker(to, { radius: 11, color: colour(MEMBERS[member.state].colour), weight: 2, fill: false, interactive: false }).addTo(memberLayer);
        if (member.state === "travelling") {
          L.polyline([at, to], { color: colour("fill-watch"), weight: 1.5, dashArray: "2 5", interactive: false }).addTo(memberLayer);
        }
      }
      const icon = L.divIcon({ className: `member ${member.state}`, html: h("i"), iconSize: [14, 14] });
      const words = [deviceName(member.device), t(`state.${member.state}`), member.destination, errandName(member.errand)].filter(Boolean).join(" · ");
      L.marker(at, { icon, title: words, alt: words, keyboard: false, zIndexOffset: 1000 }).addTo(memberLayer);
    }
    element.dataset.members = shown;
    drawKinds();
  }

  function drawLegend() {
    const counts = live.state?.counts ?? {};
    const rows = Object.keys(STATES)
      .filter((state) => counts[state] || (state === "online" && live.state?.clock))
      .map((state) => {
        const item = h("li", {}, h("i", { class: state, "aria-hidden": "true" }), h("b", { text: number(counts[state] ?? 0) }), ` ${STATES[state]()}`);
        item.dataset.state = state;
        return item;
      });
    legend.replaceChildren(...rows);
  }

  // Which colour is what: the kinds that are there, the large dots first, then who is under way.
  function drawKinds() {
    const there = [...new Set([...live.sites.values()].map((site) => site.kind))].filter((kind) => kind in kinds);
    const states = new Set([...live.members.values()].map((member) => member.state));
    const moving = Object.keys(MEMBERS).filter((state) => states.has(state));
    const shown = [...there, ...moving].join();
    if (shown === kindLegend.dataset.kinds) return;
    kindLegend.dataset.kinds = shown;
    const order = there.sort((one, other) => kinds[other].radius - kinds[one].radius);
    kindLegend.replaceChildren(
      ...order.map((kind) => {
        const dot = h("i", { "aria-hidden": "true", class: kinds[kind].radius < IS_SMALL ? "tiny" : "" });
        dot.style.background = `var(--dot-${kinds[kind].colour})`;
        return h("li", {}, dot, kinds[kind].name);
      }),
      ...moving.map((state) => h("li", {}, h("i", { class: `moving ${state}`, "aria-hidden": "true" }), MEMBERS[state].name())),
    );
  }

  // A site's popup

  function open(id) {
    const site = live.sites.get(id);
    if (!site) return;
    popupSite = id;
    popup.setLatLng([site.lat, site.lon]).setContent(frame(site, [h("p", { class: "quietly", text: t("console.reading") })])).openOn(chart);
    popupSite = id; // opening closed the one before, which forgot it
    fillPopup(id);
  }

  function frame(site, content) {
    const kind = kindOf(site).name ?? site.kind;
    const state = h("span", { class: `state ${site.state}`, text: STATES[site.state]() });
    const heading = h("h3", { title: site.id }, siteName(site.id), state);
    return h("div", { class: "about-site" }, heading, h("p", { class: "quietly", text: `${kind} · ${areaName(site.area)}` }), ...content);
  }

  async function fillPopup(id) {
    let told;
    try {
      told = await (await fetch(`/api/site/${encodeURIComponent(id)}`)).json();
    } catch {
      told = { ...live.sites.get(id), values: [], problem: t("console.notice_console") };
    }
    if (popupSite !== id) return;
    const isAsked = Object.keys(kindOf(told).headlines).length > 0;
    const nothing = isAsked ? h("p", { class: "quietly", text: t("console.empty_site") }) : null;
    const list = h("dl", {}, ...told.values.flatMap((each) => [h("dt", { text: kindOf(told).headlines[each.name] }), h("dd", { text: says(each.value, each.unit, each.decimals) })]));
    const content = [
      told.problem ? h("p", { class: "quietly", text: told.problem }) : told.values.length ? list : nothing,
      ...told.faults.map((device) => faultRow(told, device)),
      told.help ? helpFound(told.help) : null,
      told.kind === "home" ? helpRow(told) : null,
      kindOf(told).path ? h("a", { class: "go", href: `${kindOf(told).path}?area=${told.area}&site=${told.id}`, text: t("console.open_page") }) : null,
    ].filter(Boolean);
    popup.setContent(frame(told, content));
  }

  function faultRow(site, device) {
    const answer = answerPlace();
    const body = { area: site.area, site: site.id, device };
    const kiosk = deviceName(device);
    const restart = { text: t("console.restart"), label: t("console.restart_kiosk", { kiosk }), done: t("console.restarted") };
    const dispatch = { text: t("console.dispatch"), label: t("console.dispatch_kiosk", { kiosk }), done: t("console.dispatched") };
    return h("p", { class: "fault-row" },
      h("span", { text: t("console.kiosk_in_fault", { kiosk }) }),
      act({ path: "/api/restart", body, answer, ...restart }),
      act({ path: "/api/dispatch", body, answer, ...dispatch }),
      answer);
  }

  function helpFound({ time, helper, found }) {
    const words = t("console.help_found", { who: t(`line.helper_${helper}`), found: t(`line.found_${found}`), time: clockTime(time) });
    return h("p", { class: "help-found", text: words });
  }

  function helpRow(site) {
    const answer = answerPlace();
    const then = () => popup.update(); // it has grown
    const buttons = Object.entries(HELPERS).map(([helper, words]) =>
      act({ path: "/api/help", body: { site: site.id, helper }, text: words(), done: t("console.help_comes"), answer, then }),
    );
    return h("p", { class: "help-row", role: "group", "aria-label": t("console.help_for", { site: site.id }) }, ...buttons, answer);
  }

  // Who came by a link, or chose a site above, sees it; this is also the keyboard's way to a dot.
  function openChosen() {
    const site = live.sites.get(live.chosen.site);
    if (!site || !bounds || popupSite === site.id) return;
    isTouched = true;
    chart.setView([site.lat, site.lon], Math.max(chart.getZoom(), 16), { animate: false });
    open(site.id);
  }

  const offs = [
    live.on("sites", (changed) => {
      drawSites(changed);
      openChosen();
    }),
    live.on("members", drawMembers),
    live.on("state", drawLegend),
    live.on("chosen", openChosen),
    live.on("theme", () => {
      for (const layer of ground) layer.setStyle(groundStyle(layer.kind));
      for (const dot of dots.values()) dot.setStyle(dotStyle(dot.site, chart.getZoom()));
    }),
  ];
  drawSites(null);
  drawMembers();
  return () => {
    offs.forEach((off) => off());
    observer.disconnect();
    chart.remove();
  };
}
