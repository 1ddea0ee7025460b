// Curves and what settings do, with the controls above them: metric, axes, smoothing, and which rows are shown.

const X_AXES = {
  step: { label: "optimizer step" },
  epoch: { label: "epoch", metric: "epoch" },
  examples: { label: "training examples" },
  seconds: { label: "seconds of training", metric: "time/train_seconds" },
};
const MANY_LINES = 12; // from here on, a line is looked at alone

// The places of a curve's points on an axis; null where the run does not know them.
function placesOn(axis, item, curve) {
  if (axis === "step") return curve.step;
  if (axis === "examples") return item.batch ? curve.step.map((step) => step * item.batch) : null;
  const clock = item.metrics[X_AXES[axis].metric];
  return clock ? between([0, ...clock.step], [0, ...clock.mean], curve.step) : null;
}

// An exponential moving average without the pull of its start, as dashboards have it.
function smooth(values, weight) {
  if (!weight || !values) return values;
  let [sum, norm] = [0, 0];
  return values.map((value) => {
    if (!isNumber(value)) return value;
    sum = weight * sum + (1 - weight) * value;
    norm = weight * norm + (1 - weight);
    return sum / norm;
  });
}

// Controls and plots of `curves` and `sensitivity` (both as in the payload); the two lines of `caption` say
// what they come from, `first` names the metrics that count most, `lookOf` how a row is drawn, `groupOf` under
// which name its box stands.
function chartPanel({ caption, curves, sensitivity = [], choices, first = [], lookOf, groupOf = () => "" }) {
  const all = [...curves, ...sensitivity];
  const rows = unique(all.map((item) => item.row));
  const columns = unique(all.map((item) => item.column ?? ""));
  const keys = unique(sensitivity.map((item) => item.key));
  const axes = Object.keys(X_AXES).filter((axis) => curves.some((item) =>
    Object.values(item.metrics).some((curve) => placesOn(axis, item, curve))));
  const hidden = new Set();
  const chooser = (id) => h("select", { id, onchange: (event) => pick(id, event.target.value) });
  const [column, metric, scale, key, axis] = ["column", "metric", "scale", "key", "axis"].map(chooser);
  const smoothing = h("input", {
    id: "smoothing", type: "range", min: "0", max: "0.98", step: "0.02",
    oninput: () => pick("smoothing", smoothing.value === "0" ? null : smoothing.value),
  });
  const curvesPlot = h("div", { id: "curves-plot", class: "plot", role: "img" });
  const sensitivityPlot = h("div", { id: "sensitivity-plot", class: "plot", role: "img" });

  function pick(name, value) {
    choices.set(name, value);
    // Accuracy reads on a linear axis and loss on a logarithmic one: a new metric brings its own.
    if (name === "metric" || name === "column") choices.set("scale", null);
    update();
  }

  function update() {
    const inColumn = choices.among("column", columns);
    const here = all.filter((item) => (item.column ?? "") === inColumn);
    const found = new Set(here.flatMap((item) => Object.keys(item.metrics)));
    const metrics = unique([...first.filter((item) => found.has(item)), ...metricOrder([...found])]);
    const name = choices.among("metric", metrics) ?? "";
    const usual = DATA.metrics?.[name]?.log ? "log" : "linear";
    const log = (choices.get("scale") ?? usual) === "log";
    const inKey = choices.among("key", keys);
    const onAxis = choices.among("axis", axes);
    smoothing.value = choices.get("smoothing") ?? "0";
    fillSelect(column, columns.map((item) => [item, item]), inColumn);
    fillSelect(metric, metrics.map((item) => [item, metricLabel(item)]), name);
    fillSelect(scale, [["linear", "linear"], ["log", "logarithmic"]], log ? "log" : "linear");
    fillSelect(key, keys.map((item) => [item, item]), inKey);
    fillSelect(axis, axes.map((item) => [item, X_AXES[item].label]), onAxis);
    const shown = (item) => (item.column ?? "") === inColumn && !hidden.has(item.row) && item.metrics[name];
    const names = (list) => list.map((item) => item.row).join(", ");
    const titled = columns.length > 1 ? [`${caption[0]} · ${inColumn}`, caption[1]] : caption;
    if (curves.length) {
      const list = curves.filter(shown);
      curvesPlot.setAttribute("aria-label", `${metricLabel(name)} by ${X_AXES[onAxis]?.label}: ${names(list)}`);
      draw(curvesPlot, list.flatMap((item) => lines(item, name, onAxis, log)), {
        caption: titled, xTitle: X_AXES[onAxis]?.label ?? "", yTitle: axisLabel(name), log,
        hovermode: list.length > MANY_LINES ? "closest" : "x unified",
      });
      watchHover(curvesPlot);
    }
    if (sensitivity.length) {
      const list = sensitivity.filter((item) => item.key === inKey && shown(item));
      sensitivityPlot.setAttribute("aria-label", `${metricLabel(name)} by ${inKey}: ${names(list)}`);
      drawSensitivity(sensitivityPlot, list, rows, lookOf, name, { log, caption: titled });
    }
  }

  function lines(item, name, onAxis, log) {
    const curve = item.metrics[name];
    const x = placesOn(onAxis, item, curve);
    if (!x) return [];
    const weight = Number(smoothing.value);
    const [mean, low, high] = [curve.mean, curve.low, curve.high].map((values) => smooth(values, weight));
    const title = item.point ? `${item.row} (${item.point})` : item.row;
    return traces({ name: title, look: lookOf(item.row), x, mean, low, high, markers: x.length < 2 }, log);
  }

  // The line under the pointer, or of the box in focus, stands out of the others.
  function highlight(row) {
    const drawn = curvesPlot.data ?? [];
    if (drawn.length <= 1) return;
    const mine = (trace) => row === null || trace.name === plain(row) || trace.name.startsWith(`${plain(row)} (`);
    Plotly.restyle(curvesPlot, { opacity: drawn.map((trace) => (mine(trace) ? 1 : 0.12)) }, drawn.map((_, i) => i));
  }
  function watchHover(plot) {
    if (plot.dataset.watched) return;
    plot.dataset.watched = "yes";
    plot.on("plotly_hover", ({ points }) => {
      if (points.length !== 1 || plot.data.length <= MANY_LINES) return;
      const trace = points[0].data.name;
      Plotly.restyle(plot, { opacity: plot.data.map(({ name }) => (name === trace ? 1 : 0.12)) });
    });
    plot.on("plotly_unhover", () => plot.data.length > MANY_LINES && highlight(null));
  }

  const boxes = new Map(rows.map((row) => [row, h("input", {
    type: "checkbox", checked: true, "data-row": row, onchange: (event) => toggle([row], event.target.checked),
  })]));
  function chip(row) {
    const [on, off] = [() => highlight(row), () => highlight(null)];
    return h("label", { class: "chip", onmouseenter: on, onmouseleave: off, onfocusin: on, onfocusout: off },
      boxes.get(row), swatch(lookOf(row)), row);
  }
  function toggle(list, on) {
    for (const row of list) {
      if (on) hidden.delete(row);
      else hidden.add(row);
    }
    for (const [row, box] of boxes) box.checked = !hidden.has(row);
    update();
  }
  const legend = [...Map.groupBy(rows, groupOf)].map(([name, members]) => h("div", { class: "chips" },
    name && h("button", {
      type: "button", onclick: () => toggle(members, members.some((row) => hidden.has(row))),
    }, `${name} (${members.length})`), members.map(chip)));

  redraws.push(update);
  const banded = curves.some((item) => Object.values(item.metrics).some((values) => values.low));
  return h("div", { class: "charts" },
    h("div", { class: "controls" },
      columns.length > 1 && labelled("Column", column),
      labelled("Metric", metric), labelled("Y axis", scale),
      axes.length > 1 && labelled("X axis", axis),
      curves.length > 0 && labelled("Smoothing", smoothing)),
    rows.length > 1 && h("fieldset", { id: "rows", class: "legend" }, h("legend", {}, "Rows"),
      h("div", { class: "row" },
        h("button", { id: "rows-all", type: "button", onclick: () => toggle(rows, true) }, "all"),
        h("button", { id: "rows-none", type: "button", onclick: () => toggle(rows, false) }, "none")),
      legend),
    curves.length > 0 && curvesPlot,
    curves.length > 0 && h("p", { class: "quiet" },
      banded && "Line: mean over seeds, or over the trials of a run. Shaded: the spread, as in the table. ",
      DATA.curve_points && `Up to ${DATA.curve_points} points of a curve are drawn; its run's metrics.jsonl has all.`),
    sensitivity.length > 0 && [
      h("div", { class: "controls" }, h("h3", {}, "Sensitivity"), keys.length > 1 && labelled("Setting", key)),
      sensitivityPlot,
      h("p", { class: "quiet" }, "A cross above the plot: every seed diverged there, or none got there within the budget."),
    ]);
}
