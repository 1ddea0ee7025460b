// One run, several runs side by side, and groups of runs.

function metricTable(i) {
  const { final, best, best_step: bestStep } = RUNS.index;
  const names = metricOrder([...Object.keys(final), ...Object.keys(best)])
    .filter((name) => !missing(final[name]?.[i] ?? best[name]?.[i]));
  if (!names.length) return h("p", { class: "quiet" }, "No metrics were recorded.");
  return scrollBox("Metrics", h("table", { id: "metric-table" },
    h("thead", {}, h("tr", {}, ["metric", "final", "best", "at step"].map((text, k) =>
      h("th", { scope: "col", class: k > 0 && "number" }, text)))),
    h("tbody", {}, names.map((name) => h("tr", { "data-metric": name },
      h("th", { scope: "row" }, metricLabel(name)),
      [final, best, bestStep].map((of) => h("td", { class: "number" }, number(of[name]?.[i]))))))));
}

// A run's curves in the form of a study's, so that one panel draws both.
const asCurve = (i, row) =>
  ({ row, column: "", metrics: RUNS.curves(i), batch: RUNS.value("batch_size", i), first: i });

// What a run is called where it stands alone: among those of its task.
function runTitle(i) {
  const peers = RUNS.all.filter((other) => RUNS.value("task", other) === RUNS.value("task", i));
  return `${RUNS.value("task", i)}: ${RUNS.labels(peers)(i)}`;
}

function runView(path, choices) {
  const i = RUNS.byId.get(path);
  if (i === undefined) return null;
  const uses = (studiesByRun().get(i) ?? []).map(({ study, variant }) =>
    h("a", { href: studyLink(study.name, variant) }, `${study.name} (${variant.profile}, ${variant.data})`));
  const title = runTitle(i);
  const curve = asCurve(i, RUNS.id(i));
  const error = RUNS.value("error", i);
  const environment = [...RUNS.columns.values()].filter((column) => column.kind === "environment" && column.place(i) >= 0);
  return [title,
    h("p", { class: "row" }, statusText(RUNS.status(i)), badge(RUNS.scope(i))),
    error && h("pre", { id: "run-error", class: "notice" }, error),
    facts([["Run", h("code", {}, RUNS.id(i))], ["Folder", h("code", { id: "run-folder" }, RUNS.folder(i))],
      ["Steps", `${number(RUNS.value("step", i))} of ${number(RUNS.index.steps[i])}`],
      ["Wall time", duration(RUNS.value("wall", i))],
      ["Time per step", duration(RUNS.index.step_seconds[i])], ["Studies", bullets(uses)]]),
    section("Metrics", metricTable(i)),
    Object.keys(curve.metrics).length > 0 && section("Curves", chartPanel({
      caption: [title, scope(RUNS.scope(i))], curves: [curve], choices, lookOf: () => optimLook(i),
      first: [RUNS.value("headline", i)],
    })),
    section("Config", h("pre", { id: "run-config", tabindex: "0" }, RUNS.settings.filter((column) => column.place(i) >= 0)
      .map((column) => `${column.name}: ${column.text(i)}`).join("\n"))),
    section("Environment", h("div", { id: "run-environment" },
      facts(environment.map((column) => [column.name.replace("env.", ""), column.text(i)]))))];
}

// What differs among some runs, a line each; what all have alike stands below.
function differences(runs, label) {
  const varying = RUNS.varying(runs);
  const telling = unique([...RUNS.telling(runs, varying), ...varying]);
  const alike = RUNS.settings.filter((column) => !varying.includes(column.name) && column.place(runs[0]) >= 0);
  return [
    varying.length ? scrollBox("Differences", h("table", { id: "differences" },
      h("thead", {}, h("tr", {}, ["run", ...telling].map((name) => h("th", { scope: "col" }, name)))),
      h("tbody", {}, runs.map((i) => h("tr", { "data-run": RUNS.id(i) },
        h("th", { scope: "row" }, swatch(optimLook(i)), " ", label(i)),
        telling.map((name) => h("td", { "data-column": name }, RUNS.columns.get(name).text(i)))))))) :
      h("p", { class: "quiet" }, "Their settings are the same."),
    h("details", {}, h("summary", {}, `${alike.length} settings that all have alike`),
      facts(alike.map((column) => [column.name, column.text(runs[0])]))),
  ];
}

function compareView(path, choices) {
  const runs = path.split(",").map((id) => RUNS.byId.get(id)).filter((i) => i !== undefined).slice(0, MOST_COMPARED);
  if (!runs.length) return null;
  const label = RUNS.labels(runs);
  const scopes = [...new Map(runs.map((i) => [variantKey(RUNS.scope(i)), RUNS.scope(i)])).values()];
  const byRow = new Map(runs.map((i) => [label(i), i]));
  return [`Compare ${plural(runs.length, "run")}`, h("p", { class: "row" }, scopes.map(badge)),
    section("Curves", chartPanel({
      caption: [plural(runs.length, "run"), scopes.map(scope).join("; ")],
      curves: runs.map((i) => asCurve(i, label(i))), choices, first: unique(runs.map((i) => RUNS.value("headline", i))),
      lookOf: runLooks(byRow), groupOf: (row) => (runs.length > MANY_LINES ? RUNS.value("optim", byRow.get(row)) : ""),
    })),
    section("Differences", differences(runs, label)),
    section("Runs", runsTable(runs, choices))];
}

// Runs of one optimizer have its colour and differ in their dashes, as far as there are any.
function runLooks(byRow) {
  const seen = new Map();
  const found = new Map([...byRow].map(([row, i]) => {
    const [light, dark, dash, marker] = optimLook(i);
    const place = seen.get(light) ?? 0;
    seen.set(light, place + 1);
    const dashes = Object.keys(BORDERS);
    return [row, [light, dark, dashes[(dashes.indexOf(dash) + place) % dashes.length], marker]];
  }));
  return (row) => found.get(row) ?? NO_LOOK;
}

// The groups of a table of runs: each at its best point, and over what its grid tries.
function groupsView(path, choices) {
  const by = groupingKeys(choices);
  if (!by.length) return null;
  const metric = choices.get("values") ?? HEADLINE;
  const at = choices.among("at", ["final", "best"]);
  const runs = RUNS.all.filter(parseFilter(choices.get("q") ?? "", metric).test);
  if (!runs.length) return null;
  const grouped = groupRuns(runs, by, metric, at);
  const curves = groupCurves(grouped.groups).map((item) => ({ ...item, batch: RUNS.value("batch_size", item.first) }));
  const byRow = new Map(grouped.groups.map((group) => [group.name, group.first]));
  const scopes = [...new Map(runs.map((i) => [variantKey(RUNS.scope(i)), RUNS.scope(i)])).values()];
  const first = metric === HEADLINE ? unique(runs.map((i) => RUNS.value("headline", i))) : [metric];
  return [`${plural(grouped.groups.length, "group")} by ${grouped.keys.join(", ")}`,
    h("p", { class: "row" }, scopes.map(badge)),
    h("p", { class: "quiet" }, `${plural(runs.length, "run")}${choices.get("q") ? ` of the filter ${choices.get("q")}` : ""}. `
      + "Curves are of the best point of each group, mean over its finished seeds."),
    section("Curves", chartPanel({
      caption: [`by ${grouped.keys.join(", ")}`, scopes.map(scope).join("; ")], curves,
      sensitivity: groupSensitivity(grouped, metric, at), choices, first, lookOf: runLooks(byRow),
    })),
    section("Groups", runsTable(runs, choices))];
}
