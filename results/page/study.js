// The list of studies, and one study: its table in the shape of the paper's, curves, figures, provenance, runs.

const NO_RUNS = "There are no runs yet. A first study takes minutes on two CPU cores:";

function nothing(why, command) {
  return h("div", { id: "empty", class: "notice" }, h("p", {}, why), h("pre", {}, h("code", {}, command)));
}

function section(title, ...content) {
  return h("section", {}, h("h2", {}, title), ...content);
}

function facts(entries) {
  const known = entries.filter(([, value]) => !missing(value));
  return h("dl", { class: "facts" }, known.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
}

function bullets(items, attributes = {}) {
  return items?.length ? h("ul", attributes, items.map((item) => h("li", {}, item))) : null;
}

// A diverged run is a result, so it counts as done, as does one that a search lets go; a failed one does not.
function progress({ planned, finished, diverged, failed, cut, not_begun: notBegun, rows }) {
  const done = finished + diverged + cut;
  const parts = { finished: finished + cut, diverged, failed };
  const text = [`${done} of ${plural(planned, "run")} done`, diverged && `${diverged} diverged`,
    failed && `${failed} failed`, notBegun && `${notBegun} of ${plural(rows, "row")} not begun`];
  return h("span", { class: "progress" },
    h("span", { class: "meter", "aria-hidden": "true" }, Object.entries(parts).map(([name, count]) =>
      h("span", { "data-status": name, style: `width: ${(100 * count) / Math.max(planned, 1)}%` }))),
    h("span", {}, text.filter(Boolean).join(", ")));
}

const plannedText = (study, started = new Set()) => Object.entries(study.profiles)
  .filter(([profile]) => !started.has(profile)).map(([profile, runs]) => `${profile} ${plural(runs, "run")}`).join(", ");

function studyCard(study) {
  const planned = plannedText(study, new Set(study.variants.map((variant) => variant.profile.replace(/ search=.*/, ""))));
  return h("li", { class: "card", "data-study": study.name },
    h("h3", {}, h("a", { href: studyLink(study.name) }, study.title || study.name)),
    h("p", { class: "quiet" }, h("code", {}, study.name),
      study.reproduces?.length ? ` reproduces ${study.reproduces.join(", ")}` : ""),
    study.variants.map((variant) =>
      h("a", { class: "variant", href: studyLink(study.name, variant), "data-variant": variantKey(variant) },
        badge(variant), progress(variant.status))),
    planned && h("p", { class: "quiet" }, `No records: ${planned}`));
}

// A study that nobody has run is one line.
function studyLine(study) {
  return h("li", { "data-study": study.name },
    h("a", { href: studyLink(study.name) }, study.title || study.name), " ",
    h("span", { class: "quiet" }, h("code", {}, study.name),
      study.reproduces?.length ? ` reproduces ${study.reproduces.join(", ")}` : "", ` · ${plannedText(study)}`));
}

function indexView() {
  const recorded = STUDIES.filter((study) => study.variants.length);
  // Papers of which there is something come first.
  const papers = unique([...recorded, ...STUDIES].map((study) => study.paper));
  return ["Studies",
    h("p", { class: "lead" }, `${plural(STUDIES.length, "study", "studies")}, `
      + `${recorded.length} with records; `, h("a", { href: "#/runs" }, plural(RUNS.count, "run")), "."),
    RUNS.count === 0 && nothing(NO_RUNS, FIRST_COMMAND),
    papers.map((paper) => {
      const studies = STUDIES.filter((study) => study.paper === paper);
      const others = studies.filter((study) => !study.variants.length);
      return h("section", { "data-paper": paper }, h("h2", {}, paper),
        h("p", { class: "quiet" }, studies[0].citation ?? ""),
        h("ul", { class: "cards" }, studies.filter((study) => study.variants.length).map(studyCard)),
        others.length > 0 && h("details", { class: "lines", open: others.length === studies.length && RUNS.count === 0 },
          h("summary", {}, `${plural(others.length, "study", "studies")} without records`),
          h("ul", {}, others.map(studyLine))));
    })];
}

function plainTable({ headers, rows }, caption, id) {
  return scrollBox(caption.join(", "), h("table", { id, class: "results" },
    h("caption", {}, caption[0], h("br"), caption[1]),
    h("thead", {}, h("tr", {}, headers.map((text) => h("th", { scope: "col" }, text)))),
    h("tbody", {}, rows.map((row) => h("tr", {}, row.map((text, i) =>
      h(i ? "td" : "th", { scope: i ? null : "row" }, text ?? BLANK)))))));
}

// -- the paper's shape -----------------------------------------------------------------------------

const shortKey = (key) => key.replace(/^.*?\.(?=[^.]*(\.\d+)?$)/, "");

// Methods down; across, the columns of the study, or where it has one, all that is known of each method.
function paperTable(table, caption, choices) {
  const place = h("div");
  const quantities = [...table.metrics, ...table.keys];
  const titles = new Map([...table.metrics.map((name) => [name, metricLabel(name)]),
    ...table.keys.map((key) => [key, `${table.chosen} ${shortKey(key)}`])]);
  const across = table.columns.length > 1;
  const select = h("select", { id: "quantity", onchange: () => { choices.set("quantity", select.value); render(); } });
  const cells = new Map(table.cells.map((cell) => [`${cell.row}\n${cell.column}`, cell]));

  function render() {
    const quantity = choices.among("quantity", quantities);
    fillSelect(select, quantities.map((name) => [name, titles.get(name)]), quantity);
    const columns = across
      ? table.columns.map((column) => ({ name: column, column, quantity }))
      : [...table.keys, ...table.metrics, "runs", "diverged"].map((name) =>
        ({ name, title: titles.get(name), column: table.columns[0], quantity: name }));
    const find = (row, { column, quantity: name }) => {
      const cell = cells.get(`${row}\n${column}`);
      if (name === "runs") return cell && { text: `${cell.ended}/${cell.planned}${cell.cut ? `, ${cell.cut} cut` : ""}`, value: cell.ended };
      if (name === "diverged") return cell && { text: String(cell.diverged), value: cell.diverged };
      return cell?.metrics[name] ?? cell?.point[name];
    };
    const state = { sort: choices.get("order"), down: Boolean(choices.get("desc")) };
    const sortBy = (name) => {
      choices.set("desc", state.sort === name && !state.down ? "1" : null);
      choices.set("order", name);
      render();
    };
    const sorter = columns.find((column) => column.name === state.sort);
    const rows = state.sort === "method" ? sorted(table.rows, (row) => row, state.down)
      : sorter ? sorted(table.rows, (row) => find(row, sorter)?.value, state.down) : table.rows;
    const shownCaption = across ? [`${caption[0]}: ${titles.get(quantity)}`, caption[1]] : caption;
    place.replaceChildren(scrollBox(shownCaption.join(", "), h("table", { id: "result-table", class: "results paper" },
      h("caption", {}, shownCaption[0], h("br"), shownCaption[1]),
      h("thead", {}, h("tr", {}, sortHead("method", state, "method", () => sortBy("method")),
        columns.map(({ name, title }) => sortHead(title ?? name, state, name, () => sortBy(name))))),
      h("tbody", {}, rows.map((row) => h("tr", { "data-row": row }, h("th", { scope: "row" }, row),
        columns.map((column) => paperCell(find(row, column), column.name))))))));
  }

  render();
  return h("div", {}, across && h("div", { class: "controls" }, labelled("Shown", select)), place,
    h("p", { class: "quiet" }, "Bold: the best of a column, and what no paired test over seeds tells from it "
      + "(p ≥ 0.05, Holm; with one seed, the best alone); more diverged seeds are worse, whatever the mean. Runs: those that ended, of those planned; a run is one "
      + "method, column, grid point and seed."));
}

function paperCell(found, name) {
  if (!found) return h("td", { "data-column": name }, BLANK);
  const known = (text) => text && text !== BLANK;
  const print = known(found.printed) && ["print ", found.printed,
    known(found.difference) ? ` (${found.difference}${found.inside === "no" ? ", outside" : ""})`
      : known(found.ratio) ? ` (${found.ratio})` : ""].join("");
  const said = { best: "the best of its column", tied: "not told from the best of its column" }[found.mark];
  return h("td", { "data-column": name, "data-mark": found.mark, title: said },
    found.mark ? h("strong", {}, found.text) : found.text,
    known(found.interval) && h("span", { class: "under" }, found.interval),
    print && h("span", { class: "under print", title: found.difference_interval }, print));
}

function fileLinks(files) {
  const ending = (file) => file.split(".").at(-1);
  const shown = files.filter((file) => ["csv", "tex", "md", "png", "pdf"].includes(ending(file)));
  if (!shown.length) return null;
  const names = { csv: "CSV", tex: "LaTeX", md: "Markdown" };
  const picture = (file) => file.split("/").at(-1).split(".").slice(3).join(".");
  return h("p", { id: "files", class: "row" }, h("span", { class: "quiet" }, "Files:"), shown.map((file) =>
    h("a", { href: file.split("/").map(encodeURIComponent).join("/") }, names[ending(file)] ?? picture(file))));
}

function studyView(path, choices) {
  const study = STUDIES.find((item) => item.name === path);
  if (!study) return null;
  const variant = study.variants.find((item) => variantKey(item) === choices.get("variant")) ?? study.variants[0];
  const head = [study.title || study.name,
    h("p", { class: "lead" }, study.citation ?? ""),
    facts([["Study", h("code", {}, study.name)], ["Reproduces", study.reproduces?.join(", ") || null],
      ["Planned", plannedText(study) || null]])];
  if (!variant) {
    return [...head, facts([["Notes", bullets(study.notes)]]), nothing("This study has no records yet. Run it with:",
      `python -m scripts.sweep study=${study.name} profile=smoke data=sample`)];
  }
  const { curves, sensitivity, figures } = variant;
  const lookOf = (row) => study.looks[row] ?? NO_LOOK;
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
    section("Table", paperTable(variant.paper_table, caption, choices), fileLinks(variant.files),
      h("details", {}, h("summary", {}, "All numbers, a line for each method and column"),
        plainTable(variant.table, caption, "all-numbers")),
      h("details", { open: study.notes?.length < 4 }, h("summary", {}, "Notes"), bullets(study.notes))),
    (variant.against_reference ?? []).map((table) => section("Against the reference",
      plainTable(table, caption, "reference-table"), bullets(table.notes, { class: "quiet" }))),
    curves.length + sensitivity.length > 0 && section("Curves",
      chartPanel({ caption, curves, sensitivity, choices, first: study.metrics, lookOf })),
    figures.length > 0 && section("Figures", figures.map((figure) => figureView(figure, caption, lookOf))),
    section("Provenance",
      facts([["Hardware", bullets(variant.hardware)], ["Commits", bullets(variant.commits)],
        ["Command", h("code", {}, variant.command)]])),
    section("Runs", runsTable(variant.runs, choices, study.metrics),
      variant.absent > 0 && h("p", { class: "quiet" }, `Not in this file: ${plural(variant.absent, "more run")}.`))];
}
