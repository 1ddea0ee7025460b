// A study's figures that are not each column's curves over the steps: heat maps, as tables with coloured cells,
// lines over a metric or averaged over the columns, smoothed curves, and curves over a key of the grid.

// Cividis, as in the pictures, from the least value to the greatest.
const SHADES = ["#00224e", "#35456c", "#666970", "#948e77", "#c8b866", "#fee838"];

function figureView(figure, caption, lookOf) {
  return h("figure", { "data-figure": figure.name },
    h("figcaption", {}, figure.title),
    figure.panels ? heatMaps(figure, caption) : paths(figure, caption, lookOf));
}

// One scale of colours for all panels of a figure, so that they can be compared.
function heatMaps(figure, caption) {
  const log = DATA.metrics?.[figure.shade]?.log ?? false;
  const signs = figure.y ? " nan: every seed diverged. *: some did." : "";
  return [
    h("p", { class: "quiet" }, caption.join(" · ")),
    h("div", { class: "row quiet" },
      h("span", {}, `Colour: ${metricLabel(figure.shade)}${log ? ", logarithmic" : ""}`),
      h("span", { class: "scale" }, number(figure.range[0]), " ", h("span", {
        class: "shades", style: `background: linear-gradient(to right, ${SHADES.join(", ")})`, "aria-hidden": "true",
      }), " ", number(figure.range[1])),
      h("span", {}, `Numbers: ${metricLabel(figure.metric)}.${signs}`)),
    h("div", { class: "maps" }, figure.panels.map((panel) => heatMap(panel, figure, log))),
  ];
}

function heatMap(panel, { x, y, range }, log) {
  const corner = [y && `${y} ↓`, `${x} →`].filter(Boolean).join(" ");
  const line = (texts, i) => h("tr", {}, h("th", { scope: "row" }, panel.y[i] ?? ""),
    texts.map((text, j) => square(text, place(panel.colours[i][j], range, log))));
  return h("div", { class: "scroll map", tabindex: "0", role: "region", "aria-label": panel.name },
    h("table", { "data-panel": panel.name }, h("caption", {}, panel.name),
      h("thead", {}, h("tr", {}, h("td", { class: "quiet" }, corner),
        panel.x.map((text) => h("th", { scope: "col" }, text)))),
      h("tbody", {}, panel.texts.map(line))));
}

function square(text, where) {
  if (where === null) return h("td", { class: text && "diverged" }, text);
  const at = where * (SHADES.length - 1);
  const below = Math.min(Math.floor(at), SHADES.length - 2);
  const mixed = `color-mix(in srgb, ${SHADES[below + 1]} ${100 * (at - below)}%, ${SHADES[below]})`;
  return h("td", { style: `background: ${mixed}; color: ${where <= 0.5 ? "white" : "black"}` }, text);
}

// Where a value lies on the scale, from 0 to 1; null for one that has no place there.
function place(value, range, log) {
  if (!isNumber(value) || (log && value <= 0)) return null;
  const [at, least, most] = [value, ...range].map((item) => (log ? Math.log(item) : item));
  return most > least ? (at - least) / (most - least) : 0;
}

// A plot for each column; a row has the colour that it has in the curves, and a value of the grid its own.
function paths(figure, caption, rowLook) {
  const lookOf = (row) => figure.looks?.[row] ?? rowLook(row);
  const log = (name) => DATA.metrics?.[name]?.log;
  const columns = unique(figure.lines.map((line) => line.column));
  return columns.map((column) => {
    const lines = figure.lines.filter((line) => line.column === column);
    const plot = h("div", {
      class: "plot", role: "img", "data-column": column,
      "aria-label": `${figure.title}: ${lines.map((line) => line.row).join(", ")}`,
    });
    const titled = columns.length > 1 || figure.normalised ? [`${caption[0]} · ${column}`, caption[1]] : caption;
    redraws.push(() => draw(plot, lines.flatMap(({ row, x, mean }) =>
      traces({ name: row, look: lookOf(row), x, mean }, figure.log)), {
      caption: titled, xTitle: metricLabel(figure.x), yTitle: figure.label,
      log: figure.log, x: log(figure.x) ? { type: "log" } : {}, hovermode: "closest",
    }));
    return [plot, h("p", { class: "row quiet" }, lines.map(({ row }) =>
      h("span", { class: "key" }, swatch(lookOf(row)), row)))];
  });
}
