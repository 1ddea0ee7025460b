// Plots of a study, of one run or of several: their colours, axes and bands, and the controls above them.

const COLOURS = 7; // --c0 … --c6 in the style sheet, where light and dark each have their own
const DASHES = ["solid", "dash", "dot"];
const BORDERS = ["solid", "dashed", "dotted"]; // the same three in CSS, for the swatches

// Functions that draw what is on the page now; run again when the system turns light or dark.
let redraws = [];

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const colour = (index) => css(`--c${index % COLOURS}`);
const dash = (index) => Math.floor(index / COLOURS) % DASHES.length;

// Plotly reads a few HTML tags in names and titles; data must show as it is written.
const plain = (text) =>
  String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

function swatch(index) {
  const style = `border-top: 3px ${BORDERS[dash(index)]} var(--c${index % COLOURS})`;
  return h("span", { class: "swatch", style, "aria-hidden": "true" });
}

// Least and greatest of the values a logarithmic axis can show. (Math.min takes only so many arguments.)
function positiveRange(values) {
  let [least, most] = [Infinity, 0];
  for (const value of values) {
    if (!(value > 0)) continue;
    least = Math.min(least, value);
    most = Math.max(most, value);
  }
  return [least, most];
}

// The area between low and high as closed outlines, one for each stretch without a gap.
function band(x, low, high, log) {
  const outline = { x: [], y: [] };
  const floor = log ? positiveRange([...low, ...high])[0] : -Infinity;
  let stretch = [];
  const close = () => {
    if (stretch.length > 1) {
      const back = [...stretch].reverse();
      outline.x.push(...stretch.map((i) => x[i]), ...back.map((i) => x[i]), null);
      // A logarithmic axis has no place for low ≤ 0: the band then ends at its smallest positive edge.
      outline.y.push(...stretch.map((i) => high[i]), ...back.map((i) => Math.max(low[i], floor)), null);
    }
    stretch = [];
  };
  x.forEach((_, i) => {
    if (isNumber(low[i]) && isNumber(high[i]) && (!log || high[i] > 0)) stretch.push(i);
    else close();
  });
  close();
  return outline;
}

// One series becomes its band and, drawn after it, its line.
function traces({ name, index, x, mean, low, high, notes, markers }, log) {
  const found = [];
  if (low && high && low.some((value, i) => value !== high[i])) {
    found.push({
      ...band(x, low, high, log), type: "scatter", mode: "lines", line: { width: 0 },
      fill: "toself", fillcolor: colour(index) + "2b", hoverinfo: "skip", showlegend: false,
      name: plain(name), meta: "band",
    });
  }
  found.push({
    x, y: mean, type: "scatter", mode: markers ? "lines+markers" : "lines",
    name: plain(name), meta: "mean",
    line: { color: colour(index), width: 2, dash: DASHES[dash(index)] },
    marker: { size: 7 },
    customdata: x.map((_, i) => [spread(low?.[i], high?.[i]) + (notes?.[i] ? `, ${notes[i]}` : "")]),
    hovertemplate: "%{y:.5~g}%{customdata[0]}",
  });
  return found;
}

const spread = (low, high) =>
  isNumber(low) && isNumber(high) && low !== high ? ` (${number(low)} – ${number(high)})` : "";

// Digits 1, 2 and 5 of each decade, or decades alone where there are many. Within one decade Plotly's own
// choice of ticks is good; beyond that it sets too many.
function logTicks(found) {
  const [least, most] = positiveRange(found.flatMap((trace) => trace.y));
  const decades = Math.log10(most / least);
  return !(decades >= 1) ? {} : { dtick: decades < 3 ? "D2" : Math.ceil(decades / 8) };
}

// A saved picture leaves the page's row names behind, and its background: it gets its own.
function saveButton(title) {
  const filename = title.replace(/[^\w.-]+/g, "_");
  const extra = { showlegend: true, paper_bgcolor: css("--paper"), width: 1000, height: 500 };
  return {
    name: "save", title: "Save as a picture", icon: Plotly.Icons.camera,
    click: ({ data, layout }) => Plotly.downloadImage(
      { data, layout: { ...layout, ...extra } }, { filename, format: "png", width: 1000, height: 500, scale: 2 }),
  };
}

function draw(place, found, { caption, xTitle, yTitle, log, x = {}, annotations = [], hovermode = "x unified" }) {
  const axis = {
    gridcolor: css("--line"), zerolinecolor: css("--line"), linecolor: css("--line"), automargin: true,
    tickfont: { size: 12 }, exponentformat: "power",
  };
  const empty = !found.some((trace) => trace.meta === "mean") && annotations.length === 0;
  Plotly.react(place, found, {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", showlegend: false, height: 400,
    font: { family: css("--font"), color: css("--ink"), size: 13 },
    // In the plot and not beside it, so that a saved or copied plot still says what it shows.
    title: {
      text: caption.map(plain).join("<br>"), font: { size: 12, color: css("--quiet") },
      x: 0, xref: "container", y: 0.95, yanchor: "top",
    },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: css("--quiet"), activecolor: css("--ink") },
    margin: { l: 56, r: 12, t: 64, b: 48 }, hovermode, hoverlabel: { bgcolor: css("--panel") },
    xaxis: { ...axis, visible: !empty, title: { text: plain(xTitle), standoff: 10 }, ...x },
    yaxis: {
      ...axis, visible: !empty, title: { text: plain(yTitle), standoff: 10 }, nticks: 8,
      ...(log ? { type: "log", tickformat: ".3~g", ...logTicks(found) } : { type: "linear" }),
    },
    annotations: empty
      ? [{ text: "nothing to draw", showarrow: false, xref: "paper", yref: "paper", x: 0.5, y: 0.5 }]
      : annotations,
  }, {
    responsive: true, displaylogo: false,
    // On a narrow screen the buttons would lie on the title, and fingers zoom without them.
    displayModeBar: place.clientWidth >= 520,
    modeBarButtons: [[saveButton([...caption, yTitle].join(" ")), "zoom2d", "pan2d", "resetScale2d"]],
  });
}

// What a setting does: its values on a logarithmic axis where it has one, else side by side.
function drawSensitivity(place, list, rows, metric, { log, caption }) {
  const values = unique(list.flatMap((item) => item.metrics[metric]?.x ?? [])).sort((a, b) => a - b);
  const logX = values.every((value) => isNumber(value) && value > 0);
  const annotations = [];
  const found = list.filter((item) => item.metrics[metric]).flatMap((item) => {
    const { x, mean, low, high, diverged = [], missed = [] } = item.metrics[metric];
    const notes = x.map((_, i) => [
      diverged[i] ? `${diverged[i]} diverged` : "", missed[i] ? "not reached within the budget" : "",
    ].filter(Boolean).join(", "));
    const index = rows.indexOf(item.row);
    x.forEach((value, i) => {
      if (!notes[i] || isNumber(mean[i])) return;
      annotations.push({
        // Nothing finite to draw here: a cross at the top, moved aside so that rows do not hide each other.
        x: logX ? Math.log10(value) : values.indexOf(value), xshift: 11 * (index - (rows.length - 1) / 2),
        y: 1, yref: "paper", yanchor: "bottom", text: "✕", showarrow: false,
        font: { color: colour(index), size: 14 }, hovertext: plain(`${item.row}: ${notes[i]}`),
      });
    });
    const places = logX ? x : x.map(String);
    return traces({ name: item.row, index, x: places, mean, low, high, notes, markers: true }, log);
  });
  const ticks = values.length <= 12 ? { tickvals: values, ticktext: values.map(number) } : {};
  const x = logX ? { type: "log", ...ticks } : { type: "category", categoryarray: values.map(String) };
  const titles = { caption, xTitle: list[0]?.key ?? "", yTitle: axisLabel(metric) };
  draw(place, found, { ...titles, log, x, annotations });
}

// Controls and plots of `curves` and `sensitivity` (both as in the payload); the two lines of `caption`
// say what they come from, `first` names the metrics that count most. A colour belongs to its row and not
// to a place among the rows shown, so that switching one off leaves the others as they were.
function chartPanel(caption, curves, sensitivity, choices, first = []) {
  const all = [...curves, ...sensitivity];
  const rows = unique(all.map((item) => item.row));
  const columns = unique(all.map((item) => item.column ?? ""));
  const hidden = new Set();
  const column = h("select", { id: "column", onchange: () => pick("column", column.value) });
  const metric = h("select", { id: "metric", onchange: () => pick("metric", metric.value) });
  const scale = h("select", { id: "scale", onchange: () => pick("scale", scale.value) });
  const key = h("select", { id: "key", onchange: () => pick("key", key.value) });
  const curvesPlot = h("div", { id: "curves-plot", class: "plot", role: "img" });
  const sensitivityPlot = h("div", { id: "sensitivity-plot", class: "plot", role: "img" });
  const keys = unique(sensitivity.map((item) => item.key));

  function pick(name, value) {
    choices.set(name, value);
    // Accuracy reads on a linear axis and loss on a logarithmic one: a new metric brings its own.
    if (name !== "scale" && name !== "key") choices.set("scale", null);
    update();
  }

  function update() {
    const inColumn = choices.among("column", columns);
    const here = all.filter((item) => (item.column ?? "") === inColumn);
    const found = new Set(here.flatMap((item) => Object.keys(item.metrics)));
    const metrics = unique([...first.filter((item) => found.has(item)), ...metricOrder([...found])]);
    const name = choices.among("metric", metrics);
    const usual = DATA.metrics?.[name]?.log ? "log" : "linear";
    const log = (choices.get("scale") ?? usual) === "log";
    const inKey = choices.among("key", keys);
    fillSelect(column, columns.map((item) => [item, item]), inColumn);
    fillSelect(metric, metrics.map((item) => [item, metricLabel(item)]), name);
    fillSelect(scale, [["linear", "linear"], ["log", "logarithmic"]], log ? "log" : "linear");
    fillSelect(key, keys.map((item) => [item, item]), inKey);
    const shown = (item) =>
      (item.column ?? "") === inColumn && !hidden.has(item.row) && item.metrics[name];
    const names = (list) => list.map((item) => item.row).join(", ");
    const label = metricLabel(name ?? "");
    const titled = columns.length > 1 ? [`${caption[0]} · ${inColumn}`, caption[1]] : caption;
    if (curves.length) {
      const list = curves.filter(shown);
      curvesPlot.setAttribute("aria-label", `${label} by optimizer step: ${names(list)}`);
      draw(curvesPlot, list.flatMap((item) => {
        const { step: x, mean, low, high } = item.metrics[name];
        const title = item.point ? `${item.row} (${item.point})` : item.row;
        const index = rows.indexOf(item.row);
        return traces({ name: title, index, x, mean, low, high, markers: x.length < 2 }, log);
      }), { caption: titled, xTitle: "optimizer step", yTitle: axisLabel(name ?? ""), log });
    }
    if (sensitivity.length) {
      const list = sensitivity.filter((item) => item.key === inKey && shown(item));
      sensitivityPlot.setAttribute("aria-label", `${label} by ${inKey}: ${names(list)}`);
      drawSensitivity(sensitivityPlot, list, rows, name ?? "", { log, caption: titled });
    }
  }

  const boxes = rows.map((row, index) => {
    const onchange = () => toggle([row], box.checked);
    const box = h("input", { type: "checkbox", checked: true, "data-row": row, onchange });
    return h("label", { class: "chip" }, box, swatch(index), row);
  });
  function toggle(list, on) {
    for (const row of list) {
      if (on) hidden.delete(row);
      else hidden.add(row);
    }
    for (const label of boxes) {
      const box = label.querySelector("input");
      box.checked = !hidden.has(box.dataset.row);
    }
    update();
  }

  redraws.push(update);
  return h("div", { class: "charts" },
    h("div", { class: "controls" },
      columns.length > 1 && labelled("Column", column),
      labelled("Metric", metric), labelled("Y axis", scale)),
    rows.length > 1 && h("fieldset", { id: "rows", class: "chips" }, h("legend", {}, "Rows"), boxes,
      h("button", { id: "rows-all", type: "button", onclick: () => toggle(rows, true) }, "all"),
      h("button", { id: "rows-none", type: "button", onclick: () => toggle(rows, false) }, "none")),
    curves.length > 0 && curvesPlot,
    curves.some((item) => Object.values(item.metrics).some((values) => values.low)) &&
      h("p", { class: "quiet" }, "Line: mean over seeds, or over the trials of a run. Shaded: ± as in the table."),
    sensitivity.length > 0 && [
      h("div", { class: "controls" }, h("h3", {}, "Sensitivity"), keys.length > 1 && labelled("Setting", key)),
      sensitivityPlot,
      h("p", { class: "quiet" }, "A cross above the plot: every seed diverged there."),
    ]);
}
