// What the page knows: one window, then what changed. Parts listen: "data", "state", "sites", "members", "line", "chosen".
import { page, rangeS, ranges } from "/assets/words.js";

const HIDDEN_MS = 10_000; // a page that nobody sees lets go of its stream after this
const RETRY_MS = 3_000;

class Live extends EventTarget {
  constructor() {
    super();
    const query = new URLSearchParams(location.search);
    const kept = ranges.includes(localStorage.haina_range) ? localStorage.haina_range : "24h";
    this.chosen = {
      range: ranges.includes(query.get("range")) ? query.get("range") : kept,
      area: query.get("area") ?? "",
      site: query.get("site") ?? "",
    };
    this.panels = new Map(); // id → { series: Map(key → {key, t, v}), width_ms, left_off, refused }
    this.times = null;
    this.isRead = false;
    this.state = null;
    this.line = null;
    this.sites = new Map();
    this.members = new Map();
    this.linked = null; // null: not yet known; false: the console does not answer
    this.source = null;
    this.waiting = []; // deltas that came before the window
    this.fresh = 0; // counts windows asked for; an answer to an earlier one is dropped
  }

  start() {
    if (this.started) return;
    this.started = true;
    this.open();
    this.fetchSites();
    let hiding = 0;
    document.addEventListener("visibilitychange", () => {
      clearTimeout(hiding);
      if (document.hidden) hiding = setTimeout(() => this.close(), HIDDEN_MS);
      else if (!this.source) {
        this.open();
        this.fetchSites();
      }
    });
    addEventListener("pagehide", () => this.close());
  }

  // Look at something else: another range, area or site.
  choose(change) {
    Object.assign(this.chosen, change);
    localStorage.haina_range = this.chosen.range;
    history.replaceState(null, "", `${location.pathname}${this.search()}`);
    this.tell("chosen");
    this.open();
  }

  search() {
    const query = new URLSearchParams();
    if (this.chosen.area) query.set("area", this.chosen.area);
    if (this.chosen.site) query.set("site", this.chosen.site);
    return query.size ? `?${query}` : "";
  }

  get spanMs() {
    return rangeS[this.chosen.range] * 1000;
  }

  query() {
    return new URLSearchParams({ page, ...this.chosen }).toString();
  }

  open() {
    this.close();
    this.waiting = [];
    const source = new EventSource(`/api/stream?${this.query()}`);
    this.source = source;
    source.addEventListener("open", () => {
      this.setLinked(true);
      this.fetchWindow();
    });
    source.addEventListener("error", () => {
      this.setLinked(false);
      if (source.readyState === EventSource.CLOSED && this.source === source) {
        setTimeout(() => this.source === source && this.open(), RETRY_MS);
      }
    });
    const on = (name, act) => source.addEventListener(name, (event) => act(JSON.parse(event.data)));
    on("delta", (delta) => (this.waiting ? this.waiting.push(delta) : this.apply(delta)));
    on("again", () => this.fetchWindow());
    on("state", (state) => {
      this.state = state;
      this.tell("state");
    });
    on("line", (line) => {
      this.line = line;
      this.tell("line");
    });
    on("sites", (changed) => {
      for (const site of changed) this.sites.set(site.id, site);
      this.tell("sites", changed);
    });
    on("sites_again", () => this.fetchSites());
    on("members", (moved) => {
      for (const member of moved) this.members.set(member.name, member);
      this.tell("members");
    });
  }

  close() {
    this.source?.close();
    this.source = null;
  }

  async fetchWindow() {
    const turn = ++this.fresh;
    this.waiting ??= [];
    try {
      const answer = await fetch(`/api/window?${this.query()}`);
      const told = await answer.json();
      if (turn !== this.fresh) return;
      if (!answer.ok) throw new Error(told.detail);
      this.panels.clear();
      this.apply(told);
      for (const delta of this.waiting) this.apply(delta);
      this.waiting = null;
    } catch {
      if (turn === this.fresh) setTimeout(() => turn === this.fresh && this.source && this.fetchWindow(), RETRY_MS);
    }
  }

  async fetchSites() {
    try {
      const answer = await fetch("/api/sites");
      this.sites = new Map((await answer.json()).map((site) => [site.id, site]));
      this.tell("sites", null);
      const members = await (await fetch("/api/members")).json();
      this.members = new Map(members.map((member) => [member.name, member]));
      this.tell("members");
    } catch {
      setTimeout(() => this.fetchSites(), RETRY_MS);
    }
  }

  apply({ now_ms, start_ms, tick, panels }) {
    this.times = { now_ms, start_ms };
    this.isRead = tick > 0; // until the store has answered once, what is empty is unknown
    for (const [id, change] of Object.entries(panels)) {
      if (change.whole) {
        const series = new Map(change.series.map((each) => [JSON.stringify(each.key), each]));
        this.panels.set(id, { ...change, series });
      } else {
        this.merge(this.panels.get(id), change);
      }
    }
    for (const held of this.panels.values()) if (held.width_ms) this.trim(held, start_ms);
    this.tell("data", new Set(Object.keys(panels)));
  }

  merge(held, change) {
    if (!held) return;
    held.left_off = change.left_off;
    for (const { key, t, v } of change.series) {
      const name = JSON.stringify(key);
      const known = held.series.get(name);
      if (!known) {
        held.series.set(name, { key, t, v });
        continue;
      }
      const last = known.t[known.t.length - 1];
      t.forEach((at, index) => {
        if (at > last) {
          known.t.push(at);
          known.v.push(v[index]);
          return;
        }
        const place = known.t.findIndex((each) => each >= at);
        if (place < 0) {
          known.t.push(at);
          known.v.push(v[index]);
        } else if (known.t[place] === at) known.v[place] = v[index];
        else {
          known.t.splice(place, 0, at);
          known.v.splice(place, 0, v[index]);
        }
      });
    }
  }

  trim(held, start_ms) {
    const first = Math.floor(start_ms / held.width_ms) * held.width_ms;
    for (const series of held.series.values()) {
      let gone = 0;
      while (gone < series.t.length && series.t[gone] < first) gone++;
      if (gone) {
        series.t.splice(0, gone);
        series.v.splice(0, gone);
      }
    }
  }

  setLinked(linked) {
    if (this.linked === linked) return;
    this.linked = linked;
    this.tell("state");
  }

  tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  // Listen until the answer is called.
  on(name, act) {
    const listener = (event) => act(event.detail);
    this.addEventListener(name, listener);
    return () => this.removeEventListener(name, listener);
  }
}

// Ask the console to do something; answers {done, reason, code, values}.
export async function wish(path, body) {
  try {
    const answer = await fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
    const told = await answer.json();
    return answer.ok ? told : { done: false, reason: told.detail };
  } catch (error) {
    return { done: false, reason: String(error.message ?? error), code: "no_console" };
  }
}

export const live = new Live();
