// The parts of a page, by name.
import { live } from "/assets/live.js";
import { header } from "/assets/header.js";
import { notices } from "/assets/notices.js";
import { map } from "/assets/map.js";
import { panel } from "/assets/panel.js";
import { line } from "/assets/line.js";
import { incidents } from "/assets/incidents.js";
import { hint } from "/assets/hint.js";

const PARTS = { header, notices, map, panel, line, incidents, hint };

// Fill an element with a part; answers how to empty it.
export function fill(element, part, panelId) {
  live.start();
  return PARTS[part](element, panelId);
}
