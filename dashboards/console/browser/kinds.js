// How each kind of panel is drawn. A kind makes a drawing in an element: { draw(series, held, times), stop() }. To draw
// answers the unit in which it was done, where that is for the heading to say.
import { echarts } from "nicegui-echart";
import { colour, h, say } from "/assets/dom.js";
import { SHANGHAI_MS, areaName, areas, choiceName, dayMonth, dayTime, deviceName, minuteTime, number, quantity, says, scale, siteName, t, unitName } from "/assets/words.js";

// ECharts puts its ticks on the hours and days of UTC; shifted by the town's offset they are the town's.
const shifted = (at) => at + SHANGHAI_MS;
const unshifted = (at) => at - SHANGHAI_MS;

const PALETTE = 8;
const LEVELS = ["calm", "good", "watch", "bad"];

// What a series is called: its line's name, and the tags that tell it from the others of that line.
export function seriesName(definition, key) {
  const [line, area, site, device] = key;
  const { name, group } = definition.lines[line];
  const tags = { area: areaName(area), site: siteName(site), device: deviceName(device) };
  const parts = group.map((tag) => tags[tag]).filter(Boolean);
  return [name, ...parts].filter(Boolean).join(" · ") || definition.title;
}

// The ids behind that name, for whoever must name a device to somebody else; nothing where the name says them.
function seriesIds(definition, key) {
  const [line, , site, device] = key;
  const { group } = definition.lines[line];
  if (siteName(site) === site && deviceName(device) === device) return "";
  return [group.includes("site") && site, group.includes("device") && device].filter(Boolean).join(" / ");
}

function fullName(definition, key) {
  return [seriesName(definition, key), seriesIds(definition, key)].filter(Boolean).join(" – ");
}

function levelOf(definition, value) {
  let level = "";
  for (const step of definition.thresholds) if (value >= step.value) level = step.level;
  return level;
}

function last(series) {
  return series.v[series.v.length - 1];
}

// Text for those who do not see a canvas: what each of the first few series says last.
function inWords(definition, series) {
  const parts = series.slice(0, 5).map((each) => {
    const state = definition.states.find((known) => known.value === last(each));
    return `${seriesName(definition, each.key)}: ${state ? state.name : says(last(each), definition.unit, definition.decimals)}`;
  });
  return `${definition.title}. ${parts.join("; ")}`;
}

// Eight colours, then the same ones paler. An area and a line keep theirs, whoever else is shown.
function seriesColour(index, definition, key) {
  const [line, area] = key;
  const { group } = definition.lines[line];
  let place = group.length ? index : line;
  if (group.length === 1 && group[0] === "area") place = Math.max(areas.findIndex((each) => each.id === area), 0);
  const own = colour(`series-${(place % PALETTE) + 1}`);
  return place % (2 * PALETTE) < PALETTE ? own : mixed(own, colour("raised"), 0.38);
}

function mixed(one, other, share) {
  const [from, to] = [rgb(one), rgb(other)];
  return `rgb(${from.map((part, index) => Math.round(part + (to[index] - part) * share)).join(",")})`;
}

// An ECharts canvas that keeps its element's size.
function canvas(element) {
  const place = h("div", { class: "canvas", role: "img" });
  element.append(place);
  const chart = echarts.init(place, null, { renderer: "canvas" });
  let pending = 0;
  const observer = new ResizeObserver(() => {
    cancelAnimationFrame(pending);
    pending = requestAnimationFrame(() => chart.resize());
  });
  observer.observe(place);
  return {
    chart,
    label: (text) => place.setAttribute("aria-label", text),
    stop() {
      observer.disconnect();
      cancelAnimationFrame(pending);
      chart.dispose();
      place.remove();
    },
  };
}

function timeAxis(times) {
  const span = times.now_ms - times.start_ms;
  return {
    type: "time",
    min: shifted(times.start_ms),
    max: shifted(times.now_ms),
    splitNumber: 5,
    axisLine: { lineStyle: { color: colour("line") } },
    axisTick: { show: false },
    splitLine: { show: false },
    axisLabel: {
      color: colour("muted"),
      fontSize: 11,
      hideOverlap: true,
      showMinLabel: false,
      showMaxLabel: false,
      formatter: (tick) => {
        const at = unshifted(tick);
        return span > 2 * 86_400_000 || minuteTime(at) === "00:00" ? dayMonth(at) : minuteTime(at);
      },
    },
  };
}

function base() {
  return {
    animation: false,
    textStyle: { fontFamily: getComputedStyle(document.body).fontFamily },
    aria: { enabled: false },
  };
}

function tooltip(definition, extra) {
  return {
    confine: true,
    backgroundColor: colour("raised"),
    borderColor: colour("line"),
    borderWidth: 1,
    padding: [8, 12],
    textStyle: { color: colour("ink"), fontSize: 12, fontFamily: getComputedStyle(document.body).fontFamily },
    extraCssText: "box-shadow: 0 6px 24px rgb(0 0 0 / 14%); border-radius: 8px;",
    ...extra,
  };
}

function escaped(text) {
  return echarts.format.encodeHTML(String(text));
}

// Time series

function timeSeries(element, definition) {
  const place = canvas(element);
  let widthMs = 60_000;
  let drawn = 0;

  // A window without readings is a gap in the line.
  function points(each) {
    const found = [];
    each.t.forEach((at, index) => {
      if (index && at - each.t[index - 1] > widthMs * 1.5) found.push([shifted(each.t[index - 1] + widthMs), null]);
      found.push([shifted(at), each.v[index]]);
    });
    return found;
  }

  // ECharts stacks by index, so stacked series share one grid of times.
  function stackedPoints(all) {
    const grid = [...new Set(all.flatMap((each) => each.t))].sort((one, other) => one - other);
    return all.map((each) => {
      const values = new Map(each.t.map((at, index) => [at, each.v[index]]));
      const found = [];
      grid.forEach((at, index) => {
        if (index && at - grid[index - 1] > widthMs * 1.5) found.push([shifted(grid[index - 1] + widthMs), null]);
        found.push([shifted(at), values.get(at) ?? 0]);
      });
      return found;
    });
  }

  function draw(series, held, times) {
    widthMs = held.width_ms;
    const stacks = definition.stacked ? stackedPoints(series) : null;
    const tops = stacks ? stacks[0].map((_, index) => stacks.reduce((sum, each) => sum + each[index][1], 0)) : series.flatMap((each) => each.v);
    const most = Math.max(...tops);
    const least = Math.min(...series.map((each) => Math.min(...each.v)));
    const { step, name } = axisUnit(definition.unit, most);
    const tickS = step === 60 ? minuteTick(most) : null;
    const named = series.length > 1 || definition.lines[0].name;
    const lines = series.map((each, index) => {
      const tint = seriesColour(index, definition, each.key);
      const lone = !definition.stacked && series.length === 1;
      return {
        id: JSON.stringify(each.key),
        name: seriesName(definition, each.key),
        type: definition.bars ? "bar" : "line",
        barMaxWidth: 14,
        barMinHeight: 1,
        barCategoryGap: "25%",
        data: stacks ? stacks[index] : points(each),
        showSymbol: !definition.stacked && each.t.length < 3,
        symbolSize: 5,
        connectNulls: false,
        smooth: 0.15,
        smoothMonotone: "x",
        stack: definition.stacked ? "all" : undefined,
        lineStyle: { width: definition.stacked ? 0.8 : 1.8, color: tint },
        itemStyle: { color: tint, borderRadius: definition.bars && !definition.stacked ? [2, 2, 0, 0] : 0 },
        areaStyle: definition.stacked || lone ? { color: tint, opacity: definition.stacked ? 0.42 : 0.1 } : undefined,
        emphasis: { focus: "series", lineStyle: { width: 2.4 } },
        blur: { lineStyle: { opacity: 0.25 }, areaStyle: { opacity: 0.12 } },
      };
    });
    // What matters beside the values: the steps from which one should look, where they are near.
    const steps = definition.thresholds.filter(
      (step) => step.value > 0 && ["watch", "bad", "good"].includes(step.level) && step.value <= most * 1.3 && step.value >= least * 0.9,
    );
    if (lines.length && !definition.stacked) {
      lines[0].markLine = {
        silent: true,
        symbol: "none",
        label: { show: false },
        data: steps.map((step) => ({
          yAxis: step.value,
          lineStyle: { color: colour(step.level === "good" ? "watch" : step.level), type: [4, 4], width: 1, opacity: 0.7 },
        })),
      };
    }
    place.chart.setOption(
      {
        ...base(),
        useUTC: true,
        grid: { left: 8, right: 14, top: 14, bottom: named ? 34 : 6, containLabel: true },
        xAxis: timeAxis(times),
        yAxis: {
          type: "value",
          min: definition.low ?? undefined,
          max: definition.high ?? (tickS && Math.ceil(most / tickS) * tickS),
          interval: tickS,
          scale: definition.low === null,
          splitNumber: 4,
          minInterval: step / 10 ** definition.decimals,
          axisLabel: {
            color: colour("muted"),
            fontSize: 11,
            formatter: (value) => number(value / step, step > 1 ? 1 : definition.decimals),
          },
          splitLine: { lineStyle: { color: colour("line"), width: 1 } },
        },
        legend: {
          show: Boolean(named),
          type: "scroll",
          bottom: 0,
          left: 4,
          right: 4,
          itemWidth: 10,
          itemHeight: 10,
          itemGap: 14,
          icon: "roundRect",
          textStyle: { color: colour("muted"), fontSize: 12, lineHeight: 16 },
          pageIconColor: colour("muted"),
          pageIconInactiveColor: colour("line"),
          pageIconSize: 10,
          pageTextStyle: { color: colour("muted") },
        },
        tooltip: tooltip(definition, {
          trigger: "axis",
          axisPointer: { type: "line", lineStyle: { color: colour("muted"), type: "solid", width: 1, opacity: 0.5 } },
          formatter: (items) => {
            const rows = items
              .filter((item) => item.value[1] !== null && (!definition.stacked || item.value[1] !== 0))
              .sort((one, other) => other.value[1] - one.value[1])
              .slice(0, 12)
              .map(
                (item) =>
                  `<tr><td>${item.marker}${escaped(item.seriesName)}</td>` +
                  `<td>${escaped(says(item.value[1], definition.unit, definition.decimals))}</td></tr>`,
              );
            const at = unshifted(items[0].value[0]);
            return `<div class="tip"><b>${escaped(dayTime(at))} – ${escaped(minuteTime(at + widthMs))}</b><table>${rows.join("")}</table></div>`;
          },
        }),
        series: lines,
      },
      // Series that went must go; while the same are there, merging is cheaper and keeps what is highlighted.
      { replaceMerge: drawn === lines.length ? [] : ["series"] },
    );
    drawn = lines.length;
    place.label(inWords(definition, series));
    return name;
  }

  return { draw, stop: place.stop };
}

// One unit along the whole axis: that of its greatest value, and as a heading says it.
function axisUnit(unit, most) {
  const { step, name } = scale(unit, most);
  return { step, name: step === 1 ? unitName(unit) : name };
}

// Whole minutes between the marks of an axis, and at most five of them.
function minuteTick(mostS) {
  return [120, 300, 600, 900, 1_800, 3_600, 7_200].find((each) => mostS <= 5 * each) ?? Math.ceil(mostS / 18_000) * 3_600;
}

// Cells in rows over time: state timeline, status history and heat map differ in how a cell is coloured and joined.

function cells(element, definition, { join, gap, tint, note }) {
  const place = canvas(element);
  const legend = h("div", { class: "key", "aria-hidden": "true" });
  element.append(legend);

  function draw(series, held, times) {
    const names = series.map((each) => seriesName(definition, each.key));
    const ids = series.map((each) => seriesIds(definition, each.key));
    const isRoomy = element.clientHeight / series.length > 40; // for names of several lines
    const width = Math.min(element.clientWidth > 800 ? 230 : 150, element.clientWidth * 0.34);
    const isLong = (name) => echarts.format.getTextRect(name, "11px sans-serif").width > width;
    const data = [];
    const most = Math.max(...series.map((each) => Math.max(...each.v)), 0);
    series.forEach((each, row) => {
      each.t.forEach((at, index) => {
        const before = data[data.length - 1];
        const value = each.v[index];
        if (join && before && before[0] === row && before[2] === shifted(at) && before[3] === value) before[2] = shifted(at + held.width_ms);
        else data.push([row, shifted(at), shifted(at + held.width_ms), value]);
      });
    });
    const painted = tint(most);
    place.chart.setOption(
      {
        ...base(),
        useUTC: true,
        grid: { left: 8, right: 14, top: 8, bottom: 6, containLabel: true },
        xAxis: timeAxis(times),
        yAxis: {
          type: "category",
          data: names,
          inverse: true,
          axisLine: { show: false },
          axisTick: { show: false },
          axisLabel: {
            color: colour("muted"),
            fontSize: 11,
            interval: element.clientHeight / series.length > 14 ? 0 : "auto",
            width,
            formatter: (name) => (isRoomy && isLong(name) ? name.replace(" · ", "\n") : name),
            overflow: isRoomy ? "break" : "truncate",
          },
        },
        tooltip: tooltip(definition, {
          trigger: "item",
          formatter: ({ value }) =>
            `<div class="tip"><b>${escaped(names[value[0]])}</b> ${escaped(ids[value[0]])}<br>${escaped(dayTime(unshifted(value[1])))} – ${escaped(minuteTime(unshifted(value[2])))}<br>${escaped(note(value[3]))}</div>`,
        }),
        series: [
          {
            type: "custom",
            encode: { x: [1, 2], y: 0 },
            data,
            clip: true,
            renderItem: (params, api) => {
              const [left, middle] = api.coord([api.value(1), api.value(0)]);
              const [right] = api.coord([api.value(2), api.value(0)]);
              const height = Math.max(2, api.size([0, 1])[1] * (series.length > 12 ? 0.86 : 0.72));
              const area = params.coordSys;
              const from = Math.max(left, area.x);
              const to = Math.min(right - gap, area.x + area.width);
              if (to <= from) return undefined;
              return {
                type: "rect",
                shape: { x: from, y: middle - height / 2, width: Math.max(1, to - from), height, r: join ? 2 : 3 },
                style: { fill: painted(api.value(3)) },
              };
            },
          },
        ],
      },
      { replaceMerge: ["series"] },
    );
    legend.replaceChildren(...key(most, painted));
    place.label(inWords(definition, series));
  }

  function key(most, painted) {
    if (definition.states.length) {
      const colours = new Map();
      for (const { value, name } of definition.states) colours.set(painted(value), [...(colours.get(painted(value)) ?? []), name]);
      return [...colours].map(([tint, names]) => h("span", {}, h("i", { style: `background:${tint}` }), names.join(" · ")));
    }
    const shades = [0, 0.25, 0.5, 0.75, 1].map((share) => h("i", { style: `background:${painted(share * most)}` }));
    return [h("span", {}, "0 ", ...shades, ` ${says(most, definition.unit, definition.decimals)}`)];
  }

  return {
    draw,
    stop() {
      place.stop();
      legend.remove();
    },
  };
}

function stateCells(element, definition, look) {
  const named = new Map(definition.states.map((state) => [state.value, state]));
  return cells(element, definition, {
    ...look,
    tint: () => (value) => colour(`fill-${named.get(value)?.level ?? "calm"}`),
    note: (value) => named.get(value)?.name ?? String(value),
  });
}

function heatmap(element, definition) {
  return cells(element, definition, {
    join: false,
    gap: 1,
    tint: (most) => {
      const [low, high] = [colour("heat-low"), colour("heat-high")];
      return (value) => {
        const share = most > 0 ? Math.sqrt(Math.max(value, 0) / most) : 0; // the quiet half of the day shows, too
        return mixed(low, high, share);
      };
    },
    note: (value) => says(value, definition.unit, definition.decimals),
  });
}

function rgb(hex) {
  return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
}

// Figures

function stat(element, definition) {
  const amount = h("span", { class: "amount" });
  const unit = h("span", { class: "unit" });
  const place = h("p", { class: "figure" }, amount, unit);
  element.append(place);
  return {
    draw([series]) {
      const [value, name] = quantity(last(series), definition.unit, definition.decimals);
      say(amount, value);
      say(unit, name);
      const level = typeof last(series) === "number" ? levelOf(definition, last(series)) : "";
      for (const each of LEVELS) place.classList.toggle(each, each === level);
    },
    stop: () => place.remove(),
  };
}

function gauge(element, definition) {
  const place = canvas(element);
  return {
    draw(series) {
      const value = last(series[0]);
      const { low, high } = definition;
      const edges = definition.thresholds.map((step, index) => {
        const next = definition.thresholds[index + 1];
        const share = next ? (next.value - low) / (high - low) : 1;
        return [Math.min(Math.max(share, 0), 1), colour(`fill-${step.level}`)];
      });
      const level = levelOf(definition, value);
      place.chart.setOption({
        ...base(),
        series: [
          {
            type: "gauge",
            min: low,
            max: high,
            startAngle: 205,
            endAngle: -25,
            radius: "98%",
            center: ["50%", "62%"],
            axisLine: { lineStyle: { width: 5, color: edges } },
            progress: { show: true, width: 16, roundCap: false, itemStyle: { color: colour(`fill-${level || "calm"}`) } },
            pointer: { show: false },
            axisTick: { show: false },
            splitLine: { show: false },
            axisLabel: { show: false },
            detail: {
              offsetCenter: [0, "-2%"],
              fontSize: 30,
              fontWeight: 600,
              color: colour("ink"),
              fontFamily: getComputedStyle(document.body).fontFamily,
              formatter: (shown) => says(shown, definition.unit, definition.decimals),
            },
            data: [{ value: Math.min(Math.max(value, low), high * 2) }],
          },
        ],
      });
      place.label(inWords(definition, series));
    },
    stop: place.stop,
  };
}

// Bars as a list: each row says its name, its share and its value, to everybody.
function bars(element, definition) {
  const list = h("ul", { class: "bars" });
  element.append(list);
  return {
    draw(series) {
      const most = definition.high ?? Math.max(...series.map(last), 1);
      const low = definition.low ?? 0;
      const ordered = definition.kind === "bar_chart" ? [...series].sort((one, other) => last(other) - last(one)) : series;
      const rows = ordered.map((each) => {
        const value = last(each);
        const share = Math.min(Math.max((value - low) / (most - low || 1), 0), 1) * 100;
        const level = levelOf(definition, value) || "accent";
        return h(
          "li",
          {},
          h("span", { class: "name", title: fullName(definition, each.key), text: seriesName(definition, each.key) }),
          h("span", { class: "bar" }, h("i", { class: level, style: `width:${share.toFixed(1)}%` })),
          h("span", { class: "value", text: says(value, definition.unit, definition.decimals) }),
        );
      });
      list.replaceChildren(...rows);
    },
    stop: () => list.remove(),
  };
}

function table(element, definition) {
  const { key, name, group } = definition.lines[0];
  const headings = { area: t("console.area"), site: t("console.site"), device: t("console.device") };
  const body = h("tbody");
  const head = h(
    "thead",
    {},
    h("tr", {}, ...group.map((tag) => h("th", { scope: "col", text: headings[tag] })), h("th", { scope: "col", class: "value", text: name })),
  );
  const place = h("div", { class: "scroll", tabindex: "0" }, h("table", {}, head, body));
  element.append(place);
  return {
    draw(series) {
      const rows = series.map((each) => {
        const [, area, site, device] = each.key;
        const shown = { area: areaName(area), site: siteName(site), device: deviceName(device) };
        const ids = { area, site, device };
        const value = last(each);
        const told = typeof value === "string" ? choiceName(key, value) : says(value, definition.unit, definition.decimals);
        return h("tr", {}, ...group.map((tag) => h("td", { title: ids[tag], text: shown[tag] })), h("td", { class: "value", text: told }));
      });
      body.replaceChildren(...rows);
    },
    stop: () => place.remove(),
  };
}

function pie(element, definition) {
  const place = canvas(element);
  return {
    draw(series) {
      const all = series.reduce((sum, each) => sum + last(each), 0);
      const names = series.map((each) => seriesName(definition, each.key));
      place.chart.setOption({
        ...base(),
        tooltip: tooltip(definition, {
          trigger: "item",
          formatter: (item) => `${item.marker}${escaped(item.name)}&ensp;<b>${escaped(says(item.value, definition.unit, 0))}</b>`,
        }),
        legend: {
          orient: "horizontal",
          bottom: 0,
          left: "center",
          icon: "roundRect",
          itemWidth: 10,
          itemHeight: 10,
          textStyle: { color: colour("muted"), fontSize: 12 },
          formatter: (name) => {
            const value = last(series[names.indexOf(name)]);
            return `${name}  ${all ? Math.round((value / all) * 1000) / 10 : 0}%`;
          },
        },
        series: [
          {
            type: "pie",
            radius: ["52%", "76%"],
            center: ["50%", "44%"],
            padAngle: 1.5,
            itemStyle: { borderRadius: 3 },
            label: { show: false },
            data: series.map((each, index) => ({
              name: names[index],
              value: last(each),
              itemStyle: { color: colour(`series-${(index % PALETTE) + 1}`) },
            })),
          },
        ],
      });
      place.label(inWords(definition, series));
    },
    stop: place.stop,
  };
}

function text(element, definition) {
  const place = h("p", { class: "prose", text: definition.about });
  element.append(place);
  return { draw() {}, stop: () => place.remove() };
}

export const KINDS = {
  time_series: timeSeries,
  stat: stat,
  gauge: gauge,
  bar_gauge: bars,
  table: table,
  state_timeline: (element, definition) => stateCells(element, definition, { join: true, gap: 0 }),
  status_history: (element, definition) => stateCells(element, definition, { join: false, gap: 2 }),
  bar_chart: bars,
  heatmap: heatmap,
  pie: pie,
  text: text,
};
