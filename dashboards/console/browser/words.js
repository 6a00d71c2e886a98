// Words, numbers and times, as the visitor reads them. Times are the town's: Asia/Shanghai, UTC+8 all year.
const told = window.HAINA;

export const page = told.page;
export const pages = told.pages;
export const ranges = told.ranges;
export const rangeS = told.range_s;
export const areas = told.areas;
export const panels = told.panels;
export const kinds = told.kinds;
export const measurements = told.measurements;
export const quietS = told.quiet_s;
export const language = told.language;
export const languages = told.languages;

const LOCALE = language === "zh" ? "zh-CN" : "en-GB";
export const SHANGHAI_MS = 8 * 3_600_000;

export function t(key, values = {}) {
  const words = told.text[key];
  if (words === undefined) {
    console.error(`no words for ${key}`);
    return key;
  }
  return words.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}

export function areaName(id) {
  const area = areas.find((each) => each.id === id);
  return area ? area[language] : id;
}

// What a device is called: by the words for its id, or for its id without the number that tells it from its like.
export function deviceName(id) {
  const [, kind, number] = /^(.*?)(?:-(\d+))?$/.exec(id);
  const key = `device.${kind}`;
  return key in told.text ? [t(key), number].filter(Boolean).join(" ") : id;
}

// What a site is called: most have nothing but their id, which is what one looks for.
export function siteName(id) {
  const [, kind, area] = /^(.*?)(?:-(a\d+))?$/.exec(id);
  const key = `site.${kind}`;
  return key in told.text ? t(key, { area: areaName(area) }) : id;
}

const formats = new Map();

export function number(value, decimals = 0) {
  if (!formats.has(decimals)) {
    formats.set(
      decimals,
      new Intl.NumberFormat(LOCALE, { minimumFractionDigits: 0, maximumFractionDigits: decimals }),
    );
  }
  return formats.get(decimals).format(value);
}

// A value and its unit, apart, so that they can be set in different sizes.
export function quantity(value, unit, decimals = 0) {
  if (typeof value !== "number") return [value === null || value === undefined ? "–" : String(value), ""];
  if (unit === "yes_no") return [value ? t("console.yes") : t("console.no"), ""];
  const { step, name } = scale(unit, value);
  return [number(value / step, step === 1 ? decimals : value < 100 * step ? 1 : 0), name];
}

// In what a quantity of this size is told: long waits in minutes, much power in kW. `step` is how much one of it is.
export function scale(unit, value) {
  if (unit === "watt" && Math.abs(value) >= 10_000) return { step: 1_000, name: "kW" };
  if (unit === "seconds" && value >= 300) return { step: 60, name: t("console.minutes") };
  return { step: 1, name: unitName(unit, value) };
}

// A unit's name; where one of it is called otherwise, the catalogue has both: "person|people".
export function unitName(unit, value = 2) {
  const names = t(`unit.${unit}`).split("|");
  return Math.abs(value) === 1 ? names[0] : names[names.length - 1];
}

export function says(value, unit, decimals) {
  const [amount, name] = quantity(value, unit, decimals);
  return name === "%" ? `${amount}%` : name ? `${amount} ${name}` : amount;
}

function intl(options) {
  return new Intl.DateTimeFormat(LOCALE, { timeZone: "Asia/Shanghai", ...options });
}

const clock = intl({ hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const shortClock = intl({ hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const date = intl({ weekday: "short", day: "numeric", month: "short", year: "numeric" });
const shortDate = intl({ day: "numeric", month: "short" });
const moment = intl({ day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });

export const clockTime = (ms) => clock.format(ms);
export const minuteTime = (ms) => shortClock.format(ms);
export const longDate = (ms) => date.format(ms);
export const dayMonth = (ms) => shortDate.format(ms);
export const dayTime = (ms) => moment.format(ms);

export function span(seconds) {
  if (seconds < 90) return t("console.span_s", { n: Math.round(seconds) });
  if (seconds < 5_400) return t("console.span_min", { n: Math.round(seconds / 60) });
  if (seconds < 129_600) return t("console.span_h", { n: Math.round(seconds / 3_600) });
  return t("console.span_d", { n: Math.round(seconds / 86_400) });
}

const ERRANDS = {
  "asked by the console": () => t("console.errand_asked_by_the_console"),
  check: () => t("console.errand_check"),
  "repair kiosk": () => t("console.errand_repair_kiosk"),
  "refill kiosk": () => t("console.errand_refill_kiosk"),
};

// What somebody is under way for: what our own models and the console call it, or an incident with its number. Whatever
// else a command gave as its reason is said as it came.
export function errandName(errand) {
  const [, kind, incident] = /^(\w+) (\d+)$/.exec(errand) ?? [];
  if (kind) return `line.incident_${kind}` in told.text ? `${t(`line.incident_${kind}`)} ${incident}` : errand;
  return ERRANDS[errand]?.() ?? errand;
}

// Why something was not done: in the visitor's language where the reason has a code, else as it came.
export function refusal({ code, reason, values = {} }) {
  const key = `console.why.${code}`;
  if (!(key in told.text)) return reason;
  const { site = "", device = "", fault } = values;
  return t(key, { ...values, site: siteName(site), device: deviceName(device), fault: choiceName("fault", fault) });
}

// One of the texts that a field may hold, such as a kind of fault: what a line of that name is called.
export function choiceName(kind, value) {
  const key = `line.${kind}_${value}`;
  return key in told.text ? t(key) : value;
}

export function speed(value) {
  if (value === 0) return t("console.max");
  return `${number(value, value < 10 ? 1 : 0)}×`;
}
