// Plots of a study, of one run or of several: their colours, axes and bands, and the controls above them.

// Functions that draw what is on the page now; run again when the system turns light or dark.
let redraws = [];

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const isDark = () => matchMedia("(prefers-color-scheme: dark)").matches;

// A look is the colour on a light ground, on a dark one, the dash and the marker, as results/style.py has them.
const NO_LOOK = ["#5b6470", "#a0a9b4", "solid", "circle"];
const BORDERS = { solid: "solid", dash: "dashed", dot: "dotted", dashdot: "dashed" }; // in CSS, for the swatches
const colour = (look) => look[isDark() ? 1 : 0];

// The look of a run's optimizer, which some settings of it have of their own, such as "lp_adam p=6".
function optimLook(i) {
  const optim = RUNS.value("optim", i);
  const valued = Object.keys(DATA.looks).find((name) => {
    const [, base, key, value] = name.match(/^(\S+) ([^=]+)=(.*)$/) ?? [];
    return base === optim && number(RUNS.value(key, i)) === value;
  });
  return DATA.looks[valued ?? optim] ?? NO_LOOK;
}

// Plotly reads a few HTML tags in names and titles; data must show as it is written.
const plain = (text) =>
  String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

function swatch(look) {
  const style = `border-top: 3px ${BORDERS[look[2]]} light-dark(${look[0]}, ${look[1]})`;
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
function traces({ name, look, x, mean, low, high, notes, markers }, log) {
  const found = [];
  if (low && high && low.some((value, i) => value !== high[i])) {
    found.push({
      ...band(x, low, high, log), type: "scatter", mode: "lines", line: { width: 0 },
      fill: "toself", fillcolor: colour(look) + "2b", hoverinfo: "skip", showlegend: false,
      name: plain(name), meta: "band",
    });
  }
  found.push({
    x, y: mean, type: "scatter", mode: markers ? "lines+markers" : "lines",
    name: plain(name), meta: "mean",
    line: { color: colour(look), width: 2, dash: look[2] },
    marker: { size: 7, symbol: look[3] },
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

function draw(place, found, { caption, xTitle, yTitle, log, x = {}, y = {}, annotations = [], hovermode = "x unified",
  height = 400 }) {
  const axis = {
    gridcolor: css("--line"), zerolinecolor: css("--line"), linecolor: css("--line"), automargin: true,
    tickfont: { size: 12 }, exponentformat: "power",
  };
  const empty = !found.some((trace) => trace.meta === "mean") && annotations.length === 0;
  Plotly.react(place, found, {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", showlegend: false, height,
    font: { family: css("--font"), color: css("--ink"), size: 13 },
    // In the plot and not beside it, so that a saved or copied plot still says what it shows.
    title: {
      text: caption.map(plain).join("<br>"), font: { size: 12, color: css("--quiet") },
      x: 0, xref: "container", y: 0.95, yanchor: "top",
    },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: css("--quiet"), activecolor: css("--ink") },
    margin: { l: 56, r: 12, t: 64, b: 48 }, hovermode, hoverlabel: { bgcolor: css("--panel") },
    xaxis: { ...axis, visible: !empty, title: { text: plain(xTitle), standoff: 10, font: { size: 12 } }, ...x },
    yaxis: {
      ...axis, visible: !empty, title: { text: plain(yTitle).replace(", ", ",<br>"), standoff: 10, font: { size: 12 } }, nticks: 8,
      ...(log ? { type: "log", tickformat: ".3~g", ...logTicks(found) } : { type: "linear" }),
      ...y,
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
function drawSensitivity(place, list, rows, lookOf, metric, { log, caption }) {
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
        font: { color: colour(lookOf(item.row)), size: 14 }, hovertext: plain(`${item.row}: ${notes[i]}`),
      });
    });
    const places = logX ? x : x.map(String);
    return traces({ name: item.row, look: lookOf(item.row), x: places, mean, low, high, notes, markers: true }, log);
  });
  const ticks = values.length <= 12 ? { tickvals: values, ticktext: values.map(number) } : {};
  const x = logX ? { type: "log", ...ticks } : { type: "category", categoryarray: values.map(String) };
  const titles = { caption, xTitle: list[0]?.key ?? "", yTitle: axisLabel(metric) };
  draw(place, found, { ...titles, log, x, annotations });
}
