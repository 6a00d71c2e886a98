// A panel: its title, what it says of itself, and a body drawn by its kind.
import { live } from "/assets/live.js";
import { KINDS } from "/assets/kinds.js";
import { h, say } from "/assets/dom.js";
import { panels, t, unitName } from "/assets/words.js";

export function panel(element, id) {
  const definition = panels[id];
  const body = h("div", { class: "body" });
  const foot = h("p", { class: "foot" });
  const aboutId = `about-${id}`;
  const unit = definition.kind === "time_series" ? h("span", { class: "unit", text: unitName(definition.unit) }) : null;
  const section = h(
    "section",
    { class: `panel kind-${definition.kind}`, "aria-labelledby": `title-${id}`, "aria-describedby": aboutId },
    h(
      "h2",
      { id: `title-${id}`, title: definition.about },
      h("span", { text: definition.title }),
      unit && " ",
      unit,
    ),
    h("p", { id: aboutId, class: "unseen", text: definition.about }),
    body,
    foot,
  );
  section.dataset.panel = id;
  element.replaceChildren(section);

  const empty = h("p", { class: "empty" });
  const isOfEvents = definition.counts || definition.kind === "table"; // then nothing is an answer, too
  let drawing = null;

  function draw() {
    const held = live.isRead ? live.panels.get(id) : undefined;
    const series = held ? [...held.series.values()].filter((each) => each.t.length) : [];
    const isText = definition.kind === "text";
    section.classList.toggle("waiting", !held && !isText);
    say(foot, foottext(held));
    if (!isText && !series.length) {
      // A count of nothing is 0; any other figure that nobody said is unknown.
      if (held && !held.refused && definition.kind === "stat" && definition.counts) {
        drawing ??= begin();
        drawing.draw([{ key: [0, "", "", ""], t: [0], v: [0] }], held, live.times);
        section.dataset.drawn = "yes";
        return;
      }
      const isFigure = Boolean(definition.kind === "stat" && held && !held.refused);
      say(empty, held ? (isFigure ? "–" : held.refused || t(isOfEvents ? "console.empty_events" : "console.empty")) : t("console.reading"));
      empty.classList.toggle("dash", isFigure);
      drawing?.stop();
      drawing = null;
      body.replaceChildren(empty);
      section.dataset.drawn = held ? "empty" : "";
      return;
    }
    drawing ??= begin();
    const told = drawing.draw(series, held, live.times);
    if (unit) say(unit, told);
    section.dataset.drawn = "yes";
  }

  function begin() {
    body.replaceChildren();
    return KINDS[definition.kind](body, definition);
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
