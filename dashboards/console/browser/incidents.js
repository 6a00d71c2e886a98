// The desks of the grid stations: what lies on them, and buttons for what they can be told. They are asked again and again
// while somebody looks, for what is on a desk is said by the station alone.
import { live } from "/assets/live.js";
import { act, answerPlace } from "/assets/act.js";
import { h, say } from "/assets/dom.js";
import { clockTime, number, refusal, span, t } from "/assets/words.js";

const AGAIN_MS = 10_000;
const FRONT = 0; // the priority that goes first
const STAGES = {
  opened: () => t("console.stage_opened"),
  assigned: () => t("console.stage_assigned"),
  arrived: () => t("console.stage_arrived"),
  reopened: () => t("console.stage_reopened"),
};

export function incidents(element) {
  const desks = h("ul", { class: "desks" });
  const body = h("tbody");
  const heads = [t("console.incident"), t("console.incident_block"), t("console.incident_stage"), t("console.incident_since"), t("console.incident_wishes")];
  const head = h("thead", {}, h("tr", {}, ...heads.map((words) => h("th", { scope: "col", text: words }))));
  const table = h("div", { class: "scroll", tabindex: "0" }, h("table", {}, head, body));
  const empty = h("p", { class: "empty", text: t("console.reading") });
  const foot = h("p", { class: "foot" });
  const answer = answerPlace();
  const title = h("h2", { id: "title-desks", text: t("console.desks") });
  element.replaceChildren(h("section", { class: "panel desks-panel", "aria-labelledby": "title-desks" }, title, desks, answer, table, empty, foot));
  let turn = 0;
  let drawn = "";

  async function ask() {
    const mine = ++turn;
    const { area, site } = live.chosen;
    let told = null;
    try {
      told = await (await fetch(`/api/incidents?${new URLSearchParams({ area, site })}`)).json();
    } catch {
      // the notices say that the console does not answer
    }
    if (mine === turn && told) draw(told);
  }

  function draw(told) {
    const now = live.state?.clock?.time ?? Date.now();
    const fresh = JSON.stringify([told, Math.round(now / 60_000)]);
    if (fresh === drawn) return;
    drawn = fresh;
    const focused = document.activeElement?.dataset?.act;
    desks.replaceChildren(...told.map(desk));
    const listed = told.flatMap((station) => (station.incidents ?? []).map((incident) => ({ station, ...incident })));
    body.replaceChildren(...listed.map((incident) => row(incident, now)));
    table.hidden = !listed.length;
    empty.hidden = listed.length > 0;
    say(empty, told.length ? t("console.desks_empty") : t("console.desks_none"));
    const all = told.reduce((sum, station) => sum + (station.open_incidents ?? 0), 0);
    say(foot, all > listed.length ? t("console.left_off", { shown: listed.length, all }) : "");
    if (focused) element.querySelector(`[data-act="${CSS.escape(focused)}"]`)?.focus();
  }

  function button(command, station, more, { text, about, done }) {
    const body = { site: station.site, command, ...more };
    const made = act({ text, label: `${about}: ${text}`, path: "/api/incident", body, done, answer, then: ask });
    made.dataset.act = `${station.site} ${command} ${more.incident ?? ""}`;
    return made;
  }

  function desk(station) {
    if (station.refusal) return h("li", {}, h("b", { text: station.site }), h("span", { class: "quietly", text: refusal(station.refusal) }));
    const says = t("console.desk_says", { open: number(station.open_incidents), free: number(station.free_members) });
    const on = !station.automatic;
    const words = { text: t(on ? "console.automatic_on" : "console.automatic_off"), about: station.site, done: t("console.automatic_done") };
    return h("li", {}, h("b", { text: station.site }), h("span", { text: says }), button("automatic", station, { on }, words));
  }

  function row({ station, ...incident }, now) {
    const name = `${t(`line.incident_${incident.incident}`)} ${incident.number}`;
    const isWaiting = incident.stage === "opened" || incident.stage === "reopened";
    const wishes = h("td", { class: "wishes" });
    const add = (command, more, words) => wishes.append(button(command, station, { incident: incident.number, ...more }, { about: name, ...words }));
    if (isWaiting) add("assign", {}, { text: t("console.assign"), done: t("console.assign_done") });
    if (incident.stage !== "arrived" && incident.priority > FRONT) {
      add("prioritise", { priority: FRONT }, { text: t("console.prioritise"), done: t("console.prioritise_done") });
    }
    const since = t("console.ago", { span: span(Math.max(0, (now - incident.opened) / 1000)) });
    return h(
      "tr",
      {},
      h("th", { scope: "row", text: name }),
      h("td", { text: `${station.site} · ${incident.block}` }),
      h("td", { text: STAGES[incident.stage]?.() ?? incident.stage }),
      h("td", { class: incident.overdue ? "watch" : "", title: clockTime(incident.opened), text: incident.overdue ? t("console.incident_overdue", { since }) : since }),
      wishes,
    );
  }

  const asking = setInterval(() => document.hidden || ask(), AGAIN_MS);
  const offs = [live.on("chosen", ask), live.on("sites", (changed) => changed === null && ask())];
  ask();
  return () => {
    clearInterval(asking);
    offs.forEach((off) => off());
  };
}
