// Small helpers that every part of the page uses. Data only ever enters the document as text nodes
// and attribute values: nothing here, or in the other files, parses data as HTML.
"use strict";

let DATA = null; // all but the runs' curves; page.js reads it before it draws anything
let STUDIES = [];
const BLANK = "–";
const FIRST_COMMAND = "python -m scripts.sweep study=lp_adam/fc2 profile=smoke data=sample";

// What a script element of this page holds, deflated and in base64.
async function inflated(id) {
  const node = document.getElementById(id);
  const bytes = fromBase64(node.textContent);
  node.textContent = ""; // it is not needed twice, and is megabytes
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function fromBase64(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const letters = atob(text);
  const bytes = new Uint8Array(letters.length);
  for (let i = 0; i < letters.length; i++) bytes[i] = letters.charCodeAt(i);
  return bytes;
}

// plotly.js is most of what a browser has to compile, so a page without plots does not wait for it.
let plotlyReady = null;
function loadPlotly() {
  plotlyReady ??= inflated("plotly").then((bytes) => {
    const script = document.createElement("script");
    script.textContent = new TextDecoder().decode(bytes);
    document.head.append(script);
  });
  return plotlyReady;
}

// h("a", { href: "#/" , onclick: f }, "text", node, [more]) makes an element.
function h(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  const shown = (child) => child !== null && child !== undefined && child !== false;
  node.append(...children.flat(Infinity).filter(shown));
  return node;
}

const unique = (list) => [...new Set(list)];
const isNumber = (value) => typeof value === "number" && Number.isFinite(value);
const plural = (count, word, many = `${word}s`) =>
  `${count.toLocaleString("en")} ${count === 1 ? word : many}`;

function number(value) {
  if (!isNumber(value)) return value === null || value === undefined ? BLANK : String(value);
  if (Number.isInteger(value) && Math.abs(value) < 1e7) return String(value);
  const size = Math.abs(value);
  if (size >= 1e-3 && size < 1e7) return String(Number(value.toPrecision(5)));
  return Number(value.toPrecision(4)).toExponential().replace("e+", "e");
}

function duration(seconds) {
  if (!isNumber(seconds)) return BLANK;
  if (seconds < 1) return `${Number((seconds * 1000).toPrecision(3))} ms`;
  if (seconds < 120) return `${Number(seconds.toPrecision(3))} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 120 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

const metricLabel = (name) => DATA.metrics?.[name]?.label ?? name;

function axisLabel(name) {
  const direction = { min: ", lower is better", max: ", higher is better" }[better(name)];
  return metricLabel(name) + (direction ?? "");
}

const better = (name) => DATA.metrics?.[name]?.better ?? null;

// Metrics in the order the report lists them, then any it does not list.
function metricOrder(names) {
  const known = Object.keys(DATA.metrics ?? {});
  const rank = (name) => (known.includes(name) ? known.indexOf(name) : known.length);
  return unique(names).sort((a, b) => rank(a) - rank(b) || a.localeCompare(b));
}

const studyLink = (name, variant) =>
  `#/study/${name.split("/").map(encodeURIComponent).join("/")}` +
  (variant ? `?variant=${encodeURIComponent(variantKey(variant))}` : "");
const runLink = (id) => `#/run/${encodeURIComponent(id)}`;
const variantKey = (variant) => `${variant.profile}.${variant.data}`;

// Every number stands beside this badge, so that a small run is never taken for the paper's.
const isComparable = ({ profile, data }) => profile === "paper" && data === "full";
const scope = (record) =>
  `${record.profile} · ${record.data} data${isComparable(record) ? "" : " — not comparable with print"}`;
const badge = (record) =>
  h("span", { class: isComparable(record) ? "badge" : "badge caution" }, scope(record));

const STATUS_MARKS = { finished: "✓", diverged: "↗", failed: "✕", unfinished: "…", missing: "○" };
const statusText = (status) =>
  h("span", { class: "status", "data-status": status }, `${STATUS_MARKS[status] ?? ""} ${status}`.trim());

function fillSelect(select, options, value) {
  select.replaceChildren(
    ...options.map(([key, text]) => h("option", { value: key, selected: key === value }, text)),
  );
}

function labelled(text, control) {
  return h("label", { class: "field" }, h("span", {}, text), control);
}

// What may be wider than the screen scrolls in its own box, and says so where it does.
function scrollBox(name, table) {
  const cue = h("p", { class: "cue", hidden: true }, "scrolls sideways →");
  const box = h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": name }, table);
  const look = () => { cue.hidden = box.scrollWidth <= box.clientWidth + 1; };
  const watch = new ResizeObserver(look);
  watch.observe(box);
  watch.observe(table);
  return h("div", {}, cue, box);
}

// A header that sorts by its column: first the way in which one reads on, then the other.
function sortHead(text, state, name, onclick, attributes = {}) {
  const order = state.sort !== name ? "none" : state.down ? "descending" : "ascending";
  return h("th", { scope: "col", "aria-sort": order, ...attributes },
    h("button", { type: "button", "data-sort": name, onclick }, text));
}

const missing = (value) => value === null || value === undefined;
const COLLATOR = new Intl.Collator("en", { numeric: true });

// Sorted by a value of each, those without one last in either direction.
function sorted(list, valueOf, down) {
  const keyed = list.map((item) => [valueOf(item), item]);
  keyed.sort(([x], [y]) => {
    if (missing(x) || missing(y)) return missing(x) - missing(y);
    const order = isNumber(x) && isNumber(y) ? x - y : COLLATOR.compare(String(x), String(y));
    return down ? -order : order;
  });
  return keyed.map(([, item]) => item);
}

// The part of the address after "?": what is chosen on a page, so that a link or a reload keeps it.
class Choices {
  constructor(query) {
    this.values = new URLSearchParams(query);
  }
  get(name) {
    return this.values.get(name);
  }
  set(name, value) {
    if (value === null || value === "") this.values.delete(name);
    else this.values.set(name, value);
    const query = this.values.toString();
    history.replaceState(history.state, "", location.hash.split("?")[0] + (query ? `?${query}` : ""));
  }
  // The chosen option if there is such an option, else the first.
  among(name, options) {
    const value = this.get(name);
    return options.includes(value) ? value : options[0];
  }
}
