// Verdicts of suites: is an optimizer better than a tuned one, on what, and by how much.

const verdictLink = (verdict) => `#/suite/${verdict.name.split("/").map(encodeURIComponent).join("/")}`;
const inProfile = (verdict) => `${verdict.optim} against ${verdict.against}`;
const COUNTED = ["better", "worse", "equal", "not told apart", "incomplete"];

function suitesView() {
  if (!DATA.suites.length) return null;
  return ["Suites", [...Map.groupBy(DATA.suites, (verdict) => verdict.made_with)].map(([madeWith, verdicts]) =>
    section(madeWith, scrollBox(madeWith, h("table", { class: "results", "data-suite": madeWith },
      h("thead", {}, h("tr", {}, ["optimizer", ...COUNTED, "IQM", "place"].map((text) => h("th", { scope: "col" }, text)))),
      h("tbody", {}, verdicts.map((verdict) => h("tr", { "data-verdict": verdict.name },
        h("th", { scope: "row" }, h("a", { href: verdictLink(verdict) }, inProfile(verdict))),
        COUNTED.map((judgement) => h("td", { class: "number" },
          String(verdict.tasks.filter((task) => task.judgement === judgement).length))),
        h("td", { class: "number" }, withLimits(verdict.iqm)),
        h("td", { class: "number" }, placeOf(verdict))))))))),
  ];
}

const withLimits = (one) => !one ? BLANK
  : `${one.center.toFixed(3)}${isNumber(one.low) ? ` [${one.low.toFixed(3)}, ${one.high.toFixed(3)}]` : ""}`;
const placeOf = ({ overall, optim }) => overall[optim]
  ? `${overall[optim].rank} of ${Object.keys(overall).length}` : BLANK;

function suiteView(path) {
  const verdict = DATA.suites.find((item) => item.name === path);
  if (!verdict) return null;
  const lookOf = (row) => verdict.looks[row] ?? NO_LOOK;
  const caption = [inProfile(verdict), verdict.made_with];
  const hasOthers = Object.keys(verdict.overall).length > 0;
  return [inProfile(verdict),
    h("p", { class: "lead" }, `${verdict.title}. ${verdict.made_with}.`),
    h("div", { id: "verdict" }, verdict.sentences.map((sentence) => h("p", {}, sentence)),
      verdict.profile === "smoke" && h("p", { class: "notice" },
        "Profile smoke shows that all works, and not which optimizer is better.")),
    section("Task by task", taskTable(verdict, caption), scorePlot(verdict, caption), fileLinks(verdict.files)),
    hasOthers && section("All optimizers", rankTable(verdict, caption)),
    hasOthers && section("Targets reached", keyOf(Object.keys(verdict.others), lookOf), profilePlots(verdict, caption, lookOf)),
    section("Learning rates", rateLegend(verdict, lookOf), ratePlots(verdict, lookOf)),
    section("Provenance", facts([["Command", h("code", {}, verdict.command)]]))];
}

function taskTable(verdict, caption) {
  const heads = ["task", `${verdict.optim} is`, "difference of scores", "95% interval", "p (Holm)", "seeds",
    `rate of ${verdict.optim}`, `rate of ${verdict.against}`];
  const p = (value) => missing(value) ? BLANK : value < 0.001 ? "< 0.001" : value.toFixed(3);
  const rows = verdict.tasks.map((task) => {
    const { difference, n } = task.final ?? {};
    return [task.task, task.problem ? `${task.judgement}: ${task.problem}` : task.judgement,
      difference ? `${difference.center >= 0 ? "+" : ""}${difference.center.toFixed(3)}` : BLANK,
      isNumber(difference?.low) ? `[${difference.low.toFixed(3)}, ${difference.high.toFixed(3)}]` : BLANK,
      p(task.p_final), number(n), number(task.ours?.rate), number(task.theirs?.rate)];
  });
  return plainTable({ headers: heads, rows }, caption, "task-table");
}

// A difference and its interval for each task, with 0 as the line between better and worse.
function scorePlot(verdict, caption) {
  const tasks = verdict.tasks.filter((task) => task.final);
  if (!tasks.length) return null;
  const plot = h("div", { id: "scores-plot", class: "plot small", role: "img",
    "aria-label": `difference of scores of ${inProfile(verdict)} on ${plural(tasks.length, "task")}` });
  const colours = { better: "--good", worse: "--bad" };
  redraws.push(() => {
    const found = tasks.map((task) => {
      const { center, low, high } = task.final.difference;
      const arms = isNumber(low) ? { type: "data", symmetric: false, array: [high - center], arrayminus: [center - low] } : undefined;
      return {
        x: [center], y: [task.task], error_x: arms, type: "scatter", mode: "markers", meta: "mean", name: plain(task.judgement),
        marker: { color: css(colours[task.judgement] ?? "--quiet"), size: 9 }, hovertemplate: "%{x:.3~f}",
      };
    });
    draw(plot, found, {
      caption, xTitle: `difference of scores; above 0 ${verdict.optim} is better`, yTitle: "", log: false,
      hovermode: "closest", x: { zerolinecolor: css("--ink"), rangemode: "tozero" }, y: { type: "category", autorange: "reversed" },
      height: 140 + 40 * tasks.length,
    });
  });
  return plot;
}

function rankTable(verdict, caption) {
  const order = sorted(Object.entries(verdict.overall), ([, one]) => one.rank);
  const share = (value) => (missing(value) ? BLANK : value.toFixed(3));
  return [plainTable({
    headers: ["method", "place", "mean score", "IQM, 95% interval", "profile over steps", "over seconds"],
    rows: order.map(([optim, one]) => [optim, String(one.rank), share(one.mean_score), withLimits(one.iqm),
      share(one.step_score), share(one.second_score)]),
  }, caption, "rank-table"),
  h("p", { class: "quiet" }, `Score: 1 is what ${verdict.against} learns on average, 0 the first weights. IQM: the interquartile `
    + "mean over all runs. Profile: the mean share of tasks whose target is reached within 1 to 4 times the quickest's time.")];
}

function profilePlots(verdict, caption, lookOf) {
  return h("div", { class: "multiples two" }, ["steps", "seconds"].filter((unit) => verdict.profiles[unit]).map((unit) => {
    const lines = verdict.profiles[unit];
    const plot = h("div", { class: "plot", role: "img", "data-profile": unit,
      "aria-label": `share of tasks by ${unit} to the target: ${Object.keys(lines).join(", ")}` });
    redraws.push(() => draw(plot, Object.entries(lines).flatMap(([optim, shares]) =>
      traces({ name: optim, look: lookOf(optim), x: verdict.profiles.factors, mean: shares }, false)), {
      caption, xTitle: `${unit} to the target, as a factor of the quickest's`, yTitle: "share of tasks", log: false,
      hovermode: "closest", x: { type: "log", tickvals: [1, 2, 4, 10] }, y: { range: [-0.02, 1.02] },
    }));
    return plot;
  }));
}

// What each optimizer's rates were worth on a task; those of all that have ended the suite, or of the two.
function standingsOn(verdict, k) {
  const task = verdict.tasks[k];
  const others = Object.values(verdict.others).flatMap((of) => of.filter((one) => one.task === task.task));
  const found = [task.ours, task.theirs, ...others].filter((one) => one && Object.keys(one.searched).length);
  return [...new Map(found.map((one) => [one.optim, one])).values()];
}

function rateLegend(verdict, lookOf) {
  const names = unique(verdict.tasks.flatMap((_, k) => standingsOn(verdict, k).map((one) => one.optim)));
  return [h("p", { class: "quiet" }, "What each learning rate was worth where the search compared all."), keyOf(names, lookOf)];
}

const keyOf = (names, lookOf) => h("p", { class: "row quiet" }, names.map((name) =>
  h("span", { class: "key" }, swatch(lookOf(name)), name)));

function ratePlots(verdict, lookOf) {
  return h("div", { class: "multiples" }, verdict.tasks.map((task, k) => {
    const metric = verdict.chosen_by[task.task];
    const log = DATA.metrics[metric]?.log ?? false;
    const plot = h("div", { class: "plot small", role: "img", "data-rates": task.task,
      "aria-label": `${metricLabel(metric)} by learning rate on ${task.task}` });
    redraws.push(() => draw(plot, standingsOn(verdict, k).flatMap(({ optim, searched }) => {
      const x = Object.keys(searched).map(Number).sort((a, b) => a - b);
      const values = new Map(Object.entries(searched).map(([rate, value]) => [Number(rate), value]));
      return traces({ name: optim, look: lookOf(optim), x, mean: x.map((rate) => values.get(rate)), markers: true }, log);
    }), {
      caption: [task.task], xTitle: "lr", yTitle: metricLabel(metric), log, x: { type: "log", dtick: 1, exponentformat: "power" },
      height: 260, hovermode: "closest",
    }));
    return plot;
  }));
}
