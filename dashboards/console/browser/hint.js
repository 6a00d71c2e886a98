// What the page of help will show, and how to bring it about, for as long as its table has nothing to show.
import { live } from "/assets/live.js";
import { h } from "/assets/dom.js";
import { panels, t } from "/assets/words.js";

export function hint(element) {
  const link = h("a", { class: "go", href: "/", text: t("console.hint_help_go") });
  const place = h("p", { class: "hint", role: "note", hidden: true }, t("console.hint_help"), " ", link);
  element.replaceChildren(place);
  const draw = () => {
    const tables = Object.keys(panels).filter((id) => panels[id].kind === "table").map((id) => live.panels.get(id));
    place.hidden = !live.isRead || !tables.length || tables.some((held) => !held || [...held.series.values()].some((each) => each.t.length));
  };
  draw();
  return live.on("data", draw);
}
