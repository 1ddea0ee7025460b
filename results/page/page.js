// The pages behind the address: studies, one study, runs, one run, several runs side by side.

const main = document.getElementById("main");
const NO_RUNS = "There are no runs yet. A first study takes minutes on two CPU cores:";
const VIEWS = { study: studyView, runs: runsView, run: runView, compare: compareView };

function nothing(why, command) {
  return h("div", { id: "empty", class: "notice" }, h("p", {}, why), h("pre", {}, h("code", {}, command)));
}

function section(title, ...content) {
  return h("section", {}, h("h2", {}, title), ...content);
}

function facts(entries) {
  const known = entries.filter(([, value]) => value !== null && value !== undefined);
  return h("dl", { class: "facts" }, known.map(([name, value]) => [
    h("dt", {}, name),
    // An environment may hold a list or a mapping, such as the versions of several packages.
    h("dd", {}, value instanceof Node || typeof value === "string" ? value : JSON.stringify(value)),
  ]));
}

function bullets(items, attributes = {}) {
  return items?.length ? h("ul", attributes, items.map((item) => h("li", {}, item))) : null;
}

// A diverged run is a result, so it counts as done; a failed one is not.
function progress({ cells, finished, diverged, failed }) {
  const done = finished + diverged;
  const parts = { finished, diverged, failed };
  const text = [`${done} of ${cells} done`, diverged && `${diverged} diverged`, failed && `${failed} failed`];
  return h("span", { class: "progress" },
    h("span", { class: "meter", "aria-hidden": "true" }, Object.entries(parts).map(([name, count]) =>
      h("span", { "data-status": name, style: `width: ${(100 * count) / Math.max(cells, 1)}%` }))),
    h("span", {}, text.filter(Boolean).join(", ")));
}

function studyCard(study) {
  const started = new Set(study.variants.map((variant) => variant.profile));
  const planned = Object.entries(study.profiles ?? {}).filter(([profile]) => !started.has(profile));
  return h("li", { class: "card", "data-study": study.name },
    h("h3", {}, h("a", { href: studyLink(study.name) }, study.title || study.name)),
    h("p", { class: "quiet" }, h("code", {}, study.name),
      study.reproduces?.length ? ` reproduces ${study.reproduces.join(", ")}` : ""),
    study.variants.map((variant) =>
      h("a", { class: "variant", href: studyLink(study.name, variant), "data-variant": variantKey(variant) },
        badge(variant), progress(variant.status))),
    planned.length > 0 && h("p", { class: "quiet" },
      `No records: ${planned.map(([profile, cells]) => `${profile} (${plural(cells, "cell")})`).join(", ")}`));
}

function indexView() {
  const papers = unique(STUDIES.map((study) => study.paper));
  const recorded = STUDIES.filter((study) => study.variants.length).length;
  return ["Studies",
    h("p", { class: "lead" }, `${plural(STUDIES.length, "study", "studies")}, `
      + `${recorded} with records; ${plural(RUNS.length, "run")}.`),
    RUNS.length === 0 && nothing(NO_RUNS, FIRST_COMMAND),
    papers.map((paper) => {
      const studies = STUDIES.filter((study) => study.paper === paper);
      return h("section", { "data-paper": paper }, h("h2", {}, paper),
        h("p", { class: "quiet" }, studies[0].citation ?? ""), h("ul", { class: "cards" }, studies.map(studyCard)));
    })];
}

function resultTable({ headers, rows }, caption, id = "result-table") {
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption.join(", ") },
    h("table", { id, class: "results" }, h("caption", {}, caption[0], h("br"), caption[1]),
      h("thead", {}, h("tr", {}, headers.map((text) => h("th", { scope: "col" }, text)))),
      h("tbody", {}, rows.map((row) => h("tr", {}, row.map((text, i) =>
        h(i ? "td" : "th", { scope: i ? null : "row" }, text ?? BLANK)))))));
}

function studyView(path, choices) {
  const study = STUDIES.find((item) => item.name === path);
  if (!study) return null;
  const variant = study.variants.find((item) => variantKey(item) === choices.get("variant")) ?? study.variants[0];
  const title = study.title || study.name;
  const planned = Object.entries(study.profiles ?? {}).map(([name, cells]) => `${name} ${cells}`);
  const head = [title,
    h("p", { class: "lead" }, study.citation ?? ""),
    facts([["Study", h("code", {}, study.name)], ["Reproduces", study.reproduces?.join(", ") || null],
      ["Planned cells", planned.join(", ") || null], ["Notes", bullets(study.notes)]])];
  if (!variant) {
    return [...head, nothing("This study has no records yet. Run it with:",
      `python -m scripts.sweep study=${study.name} profile=smoke data=sample`)];
  }
  const runs = (variant.runs ?? []).map((id) => RUN_BY_ID.get(id)).filter(Boolean);
  const absent = (variant.runs ?? []).length - runs.length;
  const curves = variant.curves ?? [];
  const sensitivity = variant.sensitivity ?? [];
  const figures = variant.figures ?? [];
  const rows = unique([...curves, ...sensitivity].map((item) => item.row));
  const caption = [study.name, scope(variant)];
  return [...head,
    study.variants.length > 1 && h("nav", { id: "variants", class: "tabs", "aria-label": "Profile and data" },
      study.variants.map((item) => h("a", {
        href: studyLink(study.name, item), "data-variant": variantKey(item),
        "aria-current": item === variant && "page",
      }, `${item.profile} · ${item.data}`))),
    h("p", { id: "variant", class: "row", "data-variant": variantKey(variant) },
      badge(variant), progress(variant.status)),
    variant.warnings?.length > 0 &&
      h("div", { id: "warnings", class: "notice", role: "note" }, bullets(variant.warnings)),
    variant.table && section("Table", resultTable(variant.table, caption)),
    (variant.against_reference ?? []).map((table) => section("Against the reference",
      resultTable(table, caption, "reference-table"), bullets(table.notes, { class: "quiet" }))),
    curves.length + sensitivity.length > 0 &&
      section("Curves", chartPanel(caption, curves, sensitivity, choices, study.metrics)),
    figures.length > 0 && section("Figures", figures.map((figure) => figureView(figure, caption, rows))),
    section("Provenance",
      facts([["Hardware", bullets(variant.hardware)], ["Commits", bullets(variant.commits)],
        ["Command", h("code", {}, variant.command)]])),
    section("Runs", runsTable(runs, choices),
      absent > 0 && h("p", { class: "quiet" }, `Not in this file: ${plural(absent, "more run")}.`))];
}

function runsView(path, choices) {
  return ["Runs", RUNS.length ? runsTable(RUNS, choices) : nothing(NO_RUNS, FIRST_COMMAND)];
}

// A run's curves in the form of a study's, so that one panel draws both.
function asCurve(run, row) {
  const metrics = {};
  for (const [name, { step, value }] of Object.entries(run.curves ?? {})) metrics[name] = { step, mean: value };
  return { row, column: "", metrics };
}

function runTitle(run) {
  return `${run.task}, ${run.optim}, lr ${number(run.lr)}, seed ${number(run.seed)}`;
}

function metricTable(run) {
  const names = metricOrder([...Object.keys(run.final ?? {}), ...Object.keys(run.best ?? {})]);
  if (!names.length) return h("p", { class: "quiet" }, "No metrics were recorded.");
  return h("div", { class: "scroll" }, h("table", { id: "metric-table" },
    h("thead", {}, h("tr", {}, ["metric", "final", "best", "at step"].map((text, i) =>
      h("th", { scope: "col", class: i > 0 && "number" }, text)))),
    h("tbody", {}, names.map((name) => h("tr", { "data-metric": name },
      h("th", { scope: "row" }, metricLabel(name)),
      [run.final?.[name], run.best?.[name]?.value, run.best?.[name]?.step].map((value) =>
        h("td", { class: "number" }, number(value))))))));
}

function runView(path, choices) {
  const run = RUN_BY_ID.get(path);
  if (!run) return null;
  const uses = STUDIES.flatMap((study) =>
    study.variants.filter((variant) => variant.runs?.includes(run.id)).map((variant) =>
      h("a", { href: studyLink(study.name, variant) }, `${study.name} (${variant.profile}, ${variant.data})`)));
  const curve = asCurve(run, run.id);
  return [runTitle(run),
    h("p", { class: "row" }, statusText(run.status), badge(run)),
    run.error && h("pre", { id: "run-error", class: "notice" }, run.error),
    facts([["Run", h("code", {}, run.id)], ["Folder", h("code", { id: "run-folder" }, run.folder ?? BLANK)],
      ["Steps", `${number(run.step)} of ${number(run.steps)}`], ["Wall time", duration(run.wall_seconds)],
      ["Time per step", duration(run.step_seconds)], ["Studies", bullets(uses)]]),
    section("Metrics", metricTable(run)),
    Object.keys(curve.metrics).length > 0 &&
      section("Curves", chartPanel([runTitle(run), scope(run)], [curve], [], choices)),
    section("Config", h("pre", { id: "run-config", tabindex: "0" }, run.config ?? BLANK)),
    section("Environment", h("div", { id: "run-environment" }, facts(Object.entries(run.environment ?? {}))))];
}

function compareView(path, choices) {
  const runs = path.split(",").map((id) => RUN_BY_ID.get(id)).filter(Boolean);
  if (!runs.length) return null;
  const curves = runs.map((run) => asCurve(run, `${runTitle(run)} · ${run.id}`));
  const scopes = [...new Map(runs.map((run) => [variantKey(run), run])).values()];
  return [`Compare ${plural(runs.length, "run")}`, h("p", { class: "row" }, scopes.map(badge)),
    section("Curves",
      chartPanel([plural(runs.length, "run"), scopes.map(scope).join("; ")], curves, [], choices)),
    section("Runs", runsTable(runs, choices))];
}

function show() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  const [view, ...rest] = path.split("/").map((part) => {
    try { return decodeURIComponent(part); } catch { return part; } // a hand-typed address may hold a bare %
  });
  for (const plot of document.querySelectorAll(".js-plotly-plot")) Plotly.purge(plot);
  redraws = [];
  const found = Object.hasOwn(VIEWS, view) ? VIEWS[view](rest.join("/"), new Choices(query)) : null;
  const [title, ...content] = found ?? indexView();
  const heading = h("h1", { tabindex: "-1" }, title);
  main.dataset.view = found ? view : "index";
  main.dataset.address = location.hash;
  main.replaceChildren(heading, ...content.flat(Infinity).filter((node) => node));
  document.title = found ? `${title} · ${DATA.title}` : DATA.title;
  const here = found && view !== "study" ? "nav-runs" : "nav-studies";
  for (const link of document.querySelectorAll(".bar nav a")) {
    if (link.id === here) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  redraws.forEach((redraw) => redraw()); // plots measure their place, so they come after it is in the page
  return heading;
}

// Going back to a long table should lead to the row one left. The browser cannot do that itself, as it
// scrolls before the page is drawn.
history.scrollRestoration = "manual";
addEventListener("scrollend", () => history.replaceState({ y: scrollY }, ""));

addEventListener("hashchange", () => {
  const heading = show();
  scrollTo(0, history.state?.y ?? 0);
  heading.focus({ preventScroll: true }); // so that the keyboard and a screen reader start at the new page
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => redraws.forEach((redraw) => redraw()));
document.getElementById("skip").addEventListener("click", () => main.querySelector("h1").focus());
document.getElementById("footer").append(
  [DATA.title, DATA.version, DATA.generated?.replace("T", " ").replace("Z", " UTC")].filter(Boolean).join(" · "));
show();
scrollTo(0, history.state?.y ?? 0);
