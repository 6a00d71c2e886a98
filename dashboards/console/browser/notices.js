// What is wrong now, in sentences, at the top of the page; nothing when all is well.
import { live } from "/assets/live.js";
import { h, say } from "/assets/dom.js";
import { span, t } from "/assets/words.js";

function sentences() {
  if (live.linked === false) return [t("console.notice_console")];
  const state = live.state;
  if (!state) return [];
  const found = [];
  const [broker, brokerWhy] = state.broker;
  const [town, townWhy] = state.town;
  const [store, storeWhy] = state.store;
  const [collector, collectorWhy] = state.collector;
  if (broker === "unavailable") found.push(t("console.notice_broker", { why: brokerWhy }));
  else if (broker === "ok" && town === "unknown") found.push(t("console.notice_town_unknown"));
  else if (town === "stale") found.push(t("console.notice_town_stale", { span: span(Number(townWhy)) }));
  if (store === "unavailable") found.push(t("console.notice_store", { why: storeWhy }));
  if (store === "stale") found.push(t("console.notice_store_stale", { span: span(Number(storeWhy)) }));
  if (collector === "unavailable") found.push(t("console.notice_collector", { why: collectorWhy }));
  if (collector === "problem") found.push(t("console.notice_collector_problem", { why: collectorWhy }));
  return found;
}

export function notices(element) {
  const list = h("ul", { class: "notices", role: "status", "aria-live": "polite", hidden: true });
  element.replaceChildren(list);
  let shown = "";
  const draw = () => {
    const found = sentences();
    if (found.join("\n") === shown) return;
    shown = found.join("\n");
    list.replaceChildren(...found.map((sentence) => h("li", { text: sentence })));
    list.hidden = !found.length;
  };
  draw();
  return live.on("state", draw);
}
