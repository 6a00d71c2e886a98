// A panel: its title, what it says of itself, and a body drawn by its kind.
import { live } from "/assets/live.js";
import { KINDS } from "/assets/kinds.js";
import { h, say } from "/assets/dom.js";
import { panels, t } from "/assets/words.js";

export function panel(element, id) {
  const definition = panels[id];
  const body = h("div", { class: "body" });
  const foot = h("p", { class: "foot" });
  const aboutId = `about-${id}`;
  const section = h(
    "section",
    { class: `panel kind-${definition.kind}`, "aria-labelledby": `title-${id}`, "aria-describedby": aboutId },
    h(
      "h2",
      { id: `title-${id}`, title: definition.about },
      h("span", { text: definition.title }),
    ),
    h("p", { id: aboutId, class: "unseen", text: definition.about }),
    body,
    foot,
  );
  section.dataset.panel = id;
  element.replaceChildren(section);

  const empty = h("p", { class: "empty" });
  let drawing = null;

  function draw() {
    const held = live.panels.get(id);
    const series = held ? [...held.series.values()].filter((each) => each.t.length) : [];
    const isText = definition.kind === "text";
    section.classList.toggle("waiting", !held && !isText);
    say(foot, foottext(held));
    if (!isText && !series.length) {
      drawing?.stop();
      drawing = null;
      const silent = definition.kind === "stat" && held && !held.refused;
      say(empty, held ? (silent ? "–" : held.refused || t("console.empty")) : t("console.reading"));
      empty.classList.toggle("dash", silent);
      body.replaceChildren(empty);
      section.dataset.drawn = held ? "empty" : "";
      return;
    }
    if (!drawing) {
      body.replaceChildren();
      drawing = KINDS[definition.kind](body, definition);
    }
    drawing.draw(series, held, live.times);
    section.dataset.drawn = "yes";
  }

  function foottext(held) {
    if (!held?.left_off) return "";
    const shown = held.series.size;
    return t("console.left_off", { shown, all: shown + held.left_off });
  }

  const offs = [
    live.on("data", draw),
    live.on("theme", () => {
      drawing?.stop();
      drawing = null;
      draw();
    }),
  ];
  draw();
  return () => {
    offs.forEach((off) => off());
    drawing?.stop();
  };
}
