// The top of every page: where one is, what time it is in the town, how the parts are, what is shown.
import { live, wish } from "/assets/live.js";
import { h, remember, say } from "/assets/dom.js";
import {
  areaName,
  areas,
  clockTime,
  language,
  languages,
  longDate,
  page,
  pages,
  ranges,
  refusal,
  speed,
  t,
} from "/assets/words.js";

const HEALTH = {
  ok: () => t("console.health_ok"),
  problem: () => t("console.health_problem"),
  stale: () => t("console.health_stale"),
  unavailable: () => t("console.health_unavailable"),
  unknown: () => t("console.health_unknown"),
};
const PARTS = {
  town: () => t("console.part_town"),
  broker: () => t("console.part_broker"),
  store: () => t("console.store"),
  collector: () => t("page.collector"),
};
const RANGE = {
  "1h": () => t("console.range_1h"),
  "6h": () => t("console.range_6h"),
  "24h": () => t("console.range_24h"),
  "7d": () => t("console.range_7d"),
};

export function header(element) {
  const offs = [];
  const top = h("div", { class: "top" }, brand(), navigation(offs), healthChips(offs), choices());
  const second = h("div", { class: "second" }, clockBlock(offs), filters(offs));
  const progress = historyBar(offs);
  element.replaceChildren(h("header", {}, top, second, progress));
  const nav = element.querySelector("nav");
  const here = nav.querySelector("[aria-current]");
  nav.scrollLeft = here.offsetLeft - nav.offsetLeft - (nav.clientWidth - here.offsetWidth) / 2; // where not all pages fit
  return () => offs.forEach((off) => off());
}

function brand() {
  const mark = h("span", { class: "mark", "aria-hidden": "true" });
  return h("a", { class: "brand", href: "/" }, mark, h("span", { text: t("console.town_name") }));
}

function navigation(offs) {
  const links = pages.map(({ id, path }) => {
    const link = h("a", { href: path, "aria-current": id === page ? "page" : null, text: t(`page.${id}`) });
    const follow = () => (link.href = path + live.search());
    follow();
    offs.push(live.on("chosen", follow));
    return link;
  });
  return h("nav", { "aria-label": t("console.pages") }, ...links);
}

function healthChips(offs) {
  const chips = Object.keys(PARTS).map((part) => {
    const name = PARTS[part]();
    const says = h("span", { class: "unseen" });
    const chip = h("li", {}, h("i", { "aria-hidden": "true" }), h("span", { text: name }), says);
    const draw = () => {
      const [health, why] = live.linked === false || !live.state ? ["unknown", ""] : live.state[part];
      chip.dataset.health = health;
      chip.title = `${name}: ${HEALTH[health]()}${why && health !== "stale" ? ` – ${why}` : ""}`;
      say(says, `: ${HEALTH[health]()}`);
    };
    draw();
    offs.push(live.on("state", draw));
    return chip;
  });
  return h("ul", { class: "health", "aria-label": t("console.health") }, ...chips);
}

function choices() {
  const other = languages.find((each) => each !== language);
  const names = { en: t("console.language_name.en"), zh: t("console.language_name.zh") };
  const languageButton = h("button", {
    class: "quiet",
    type: "button",
    lang: other === "zh" ? "zh-CN" : "en",
    text: names[other],
    "data-act": "language",
    onclick: () => {
      remember("haina_language", other);
      location.reload();
    },
  });
  const themeButton = h("button", { class: "quiet icon", type: "button", "data-act": "theme" });
  const draw = () => {
    const isDark = document.documentElement.dataset.theme === "dark";
    themeButton.setAttribute("aria-label", isDark ? t("console.to_light") : t("console.to_dark"));
    themeButton.title = themeButton.getAttribute("aria-label");
    themeButton.dataset.icon = isDark ? "sun" : "moon";
  };
  themeButton.addEventListener("click", () => {
    const theme = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    document.documentElement.dataset.theme = theme;
    remember("haina_theme", theme);
    draw();
    live.tell("theme");
  });
  draw();
  return h("div", { class: "choices" }, languageButton, themeButton);
}

// The clock

function clockBlock(offs) {
  const time = h("time", { class: "time" });
  const date = h("span", { class: "date" });
  const phase = h("span", { class: "phase" });
  const pace = h("span", { class: "pace" });
  const answer = h("span", { class: "answer", role: "status", "aria-live": "polite" });
  const buttons = controls(answer);
  let silencing = 0;

  function draw() {
    const clock = live.state?.clock;
    say(time, clock ? clockTime(clock.time) : "––:––:––");
    say(date, clock ? longDate(clock.time) : t("console.clock_unknown"));
    if (clock) time.dateTime = new Date(clock.time).toISOString();
    const isStale = live.linked === false || live.state?.town[0] === "stale";
    const kind = !clock ? "" : isStale ? "stale" : clock.paused ? "paused" : clock.phase;
    const words = {
      history: t("console.phase_history"),
      live: t("console.phase_live"),
      paused: t("console.phase_paused"),
      stale: t("console.health_stale"),
      "": "",
    };
    phase.dataset.phase = kind;
    phase.hidden = !kind;
    say(phase, words[kind]);
    say(pace, clock && !clock.paused ? t("console.pace", { asked: speed(clock.speed), achieved: speed(clock.achieved ?? 0) || "0×" }) : "");
    buttons.draw(clock);
  }

  function tell(answer, told) {
    answer.dataset.done = told.done ? "yes" : "no";
    say(answer, told.done ? t("console.done") : t("console.not_done", { why: refusal(told) }));
    silencing = setTimeout(() => say(answer, ""), told.done ? 3_000 : 12_000);
  }

  // Asked twice, for whoever runs ahead of the present sees in charts what is not yet there by the wall's clock.
  function ahead(args, answer) {
    const onclick = async () => tell(answer, await wish("/api/clock", { ...args, future: true }));
    return h("button", { type: "button", class: "act", "data-act": "future", text: t("console.run_ahead"), onclick });
  }

  function controls(answer) {
    const made = [
      ["pause", null, "console.pause", () => ({ paused: !live.state?.clock?.paused })],
      ["1", 1, "console.speed_1", () => ({ speed: 1, paused: false })],
      ["60", 60, "console.speed_60", () => ({ speed: 60, paused: false })],
      ["max", 0, "console.speed_max", () => ({ speed: 0, paused: false })],
    ].map(([act, rate, key, args]) => {
      const label = rate === null ? "" : speed(rate);
      const button = h("button", { type: "button", text: label, title: t(key), "aria-label": t(key), "data-act": act });
      button.addEventListener("click", async () => {
        clearTimeout(silencing);
        button.disabled = true;
        say(answer, t("console.asked"));
        answer.dataset.done = "";
        const told = await wish("/api/clock", args());
        button.disabled = false;
        button.focus();
        if (told.values?.needs === "future") {
          answer.replaceChildren(t("console.at_present"), " ", ahead(args(), answer));
          return;
        }
        tell(answer, told);
      });
      return { button, rate, act };
    });
    return {
      element: h("div", { class: "segments controls", role: "group", "aria-label": t("console.speed") }, ...made.map(({ button }) => button)),
      draw(clock) {
        for (const { button, rate, act } of made) {
          const isOn = clock && (act === "pause" ? clock.paused : !clock.paused && clock.speed === rate);
          button.setAttribute("aria-pressed", String(Boolean(isOn)));
          if (act === "pause") {
            button.dataset.icon = isOn ? "play" : "pause";
            const label = isOn ? t("console.resume") : t("console.pause");
            button.title = label;
            button.setAttribute("aria-label", label);
          }
        }
      },
    };
  }

  draw();
  offs.push(live.on("state", draw));
  return h(
    "div",
    { class: "clock" },
    h("div", { class: "now" }, time, h("div", { class: "under" }, date, phase, pace)),
    buttons.element,
    answer,
  );
}

function historyBar(offs) {
  const fill = h("i");
  const bar = h("div", { class: "history", role: "progressbar", "aria-label": t("console.history"), "aria-valuemin": 0, "aria-valuemax": 100 }, fill);
  const draw = () => {
    const clock = live.state?.clock;
    const isFilling = clock?.phase === "history" && clock.start;
    bar.hidden = !isFilling;
    if (!isFilling) return;
    const end = clock.live_from ?? Date.now();
    const share = Math.min(Math.max((clock.time - clock.start) / Math.max(end - clock.start, 1), 0), 1) * 100;
    fill.style.width = `${share.toFixed(1)}%`;
    bar.setAttribute("aria-valuenow", Math.round(share));
  };
  draw();
  offs.push(live.on("state", draw));
  return bar;
}

// What is shown

function filters(offs) {
  const rangeButtons = ranges.map((range) =>
    h("button", { type: "button", text: RANGE[range](), "data-range": range, onclick: () => live.choose({ range }) }),
  );
  const area = h(
    "select",
    { "aria-label": t("console.area") },
    h("option", { value: "", text: t("console.all_areas") }),
    ...areas.map(({ id }) => h("option", { value: id, text: areaName(id) })),
  );
  const list = h("datalist", { id: "sites" });
  const site = h("input", {
    list: "sites",
    "aria-label": t("console.site"),
    placeholder: t("console.all_sites"),
    autocomplete: "off",
    spellcheck: "false",
    maxlength: 48,
  });
  const clear = h("button", { class: "quiet clear", type: "button", text: t("console.clear"), onclick: () => live.choose({ area: "", site: "" }) });
  area.addEventListener("change", () => live.choose({ area: area.value, site: "" }));
  site.addEventListener("change", () => {
    const wanted = site.value.trim();
    if (!wanted || live.sites.has(wanted)) live.choose({ site: wanted, area: live.sites.get(wanted)?.area ?? live.chosen.area });
    else site.setCustomValidity(t("console.no_such_site"));
    site.reportValidity();
  });
  site.addEventListener("input", () => site.setCustomValidity(""));

  function draw() {
    for (const button of rangeButtons) button.setAttribute("aria-pressed", String(button.dataset.range === live.chosen.range));
    area.value = live.chosen.area;
    site.value = live.chosen.site;
    clear.hidden = !live.chosen.area && !live.chosen.site;
  }

  function drawSites() {
    const offered = [...live.sites.values()].filter((each) => !live.chosen.area || each.area === live.chosen.area);
    offered.sort((one, other) => one.id.localeCompare(other.id));
    list.replaceChildren(...offered.slice(0, 2_500).map((each) => h("option", { value: each.id })));
  }

  draw();
  offs.push(
    live.on("chosen", () => {
      draw();
      drawSites();
    }),
    live.on("sites", (changed) => (changed === null || list.childElementCount === 0) && drawSites()),
  );
  return h(
    "div",
    { class: "filters" },
    clear,
    area,
    site,
    list,
    h("div", { class: "segments", role: "group", "aria-label": t("console.range") }, ...rangeButtons),
  );
}

