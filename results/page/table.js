// The table of runs: a filter, columns of one's choice, groups, and a choice of runs to compare.
//
// Why by hand: DataTables (as `itables` 2.9.1 brings it, with SearchBuilder and RowGroup) is 619 kB of JavaScript
// and 107 kB of style, 6 MB of the page's 8 being data already; its searches know neither `!`, OR nor patterns, its
// groups neither grid points nor a best one, and its labels do not depend on what is shown. All of this file but the
// drawing of rows would still be needed.

// Rows put in the document at first, and how many times as many at each asking for more: drawing rows is
// what takes time, so few keep typing quick with thousands of runs.
const FIRST_ROWS = 60;
const MORE_ROWS = 5;
const MOST_VARYING = 5; // columns that are shown before anyone has chosen
const MOST_COMPARED = 100;
const chosen = new Set(); // runs ticked for comparison; kept while one moves between pages

const RESULT_COLUMNS = ["status", "final", "best", "step", "wall"];

function runsTable(runs, choices, first = []) {
  const metrics = metricOrder([...Object.keys(RUNS.index.final), ...Object.keys(RUNS.index.best)]
    .filter((name) => runs.some((i) => !missing(RUNS.index.final[name]?.[i] ?? RUNS.index.best[name]?.[i]))));
  const preferred = first.filter((name) => metrics.includes(name));
  const offered = unique([...preferred, HEADLINE, ...metrics]);
  const metric = h("select", { id: "runs-metric", onchange: () => set("values", metric.value) });
  const filter = h("input", {
    id: "runs-filter", type: "search", value: choices.get("q") ?? "", autocomplete: "off", spellcheck: "false",
    placeholder: "optim:adam* !status:diverged lr:>=0.001", "aria-describedby": "runs-help runs-complaint",
    oninput: () => set("q", filter.value),
  });
  const complaint = h("p", { id: "runs-complaint", class: "notice", role: "alert", hidden: true });
  const count = h("output", { id: "runs-count", "aria-live": "polite" });
  const compare = h("a", { id: "compare-link", class: "button" });
  const clear = h("button", { id: "compare-clear", type: "button", onclick: () => choose(chosen, false) }, "Clear");
  const place = h("div");
  const columnBox = h("details", { id: "columns", class: "menu" });
  const groupBox = h("details", { id: "groups", class: "menu" });
  let [limit, waiting, found] = [FIRST_ROWS, 0, runs];

  function set(name, value) {
    choices.set(name, value);
    limit = FIRST_ROWS;
    // Several key strokes within one frame are one drawing.
    cancelAnimationFrame(waiting);
    waiting = requestAnimationFrame(render);
  }
  function sortBy(name) {
    choices.set("down", choices.get("sort") === name && !choices.get("down") ? "1" : null);
    choices.set("sort", name);
    render();
  }
  function choose(list, on) {
    for (const i of [...list]) {
      if (on) chosen.add(i);
      else chosen.delete(i);
    }
    render();
  }
  function showChosen() {
    compare.hidden = clear.hidden = chosen.size === 0;
    const shown = [...chosen].slice(0, MOST_COMPARED);
    compare.textContent = chosen.size > MOST_COMPARED
      ? `Compare the first ${MOST_COMPARED} of ${plural(chosen.size, "run")}` : `Compare ${plural(chosen.size, "run")}`;
    compare.href = `#/compare/${shown.map((i) => encodeURIComponent(RUNS.id(i))).join(",")}`;
  }
  const state = () => ({ sort: choices.get("sort"), down: Boolean(choices.get("down")) });
  const listed = (name) => (choices.get(name) ?? "").split(",").filter((key) => key && RUNS.columns.has(key));

  function render() {
    const shownMetric = choices.among("values", offered);
    const { complaint: fault, test } = parseFilter(filter.value, shownMetric);
    complaint.hidden = !fault;
    complaint.textContent = fault ?? "";
    found = runs.filter(test);
    fillSelect(metric, offered.map((item) => [item, item === HEADLINE ? "headline of each task" : metricLabel(item)]),
      shownMetric);
    count.textContent = `${found.length.toLocaleString("en")} of ${plural(runs.length, "run")}`;
    const varying = RUNS.varying(found);
    const usual = RUNS.telling(found, varying).slice(0, MOST_VARYING);
    const columns = choices.get("cols") === null ? usual : listed("cols");
    fillMenu(columnBox, "Columns", varying, columns, (keys) => set("cols", keys.join() || ","));
    const by = groupingKeys(choices);
    const groupable = [...RUNS.columns.keys()].filter(canGroup);
    fillMenu(groupBox, "Group by", varying.filter((key) => key !== "seed"), by, (keys) => set("by", keys.join()), groupable);
    const total = by.length ? groupedTable(by, shownMetric) : flatTable(columns, shownMetric);
    more.hidden = total <= limit;
    more.textContent = `The first ${limit} are shown. Show ${Math.min((MORE_ROWS - 1) * limit, total - limit)} more`;
    showChosen();
  }

  function flatTable(columns, shownMetric) {
    const label = RUNS.labels(found);
    const shown = ["run", ...columns, ...RESULT_COLUMNS.filter((name) => !columns.includes(name))];
    const { sort, down } = state();
    const list = shown.includes(sort) ? sorted(found, (i) => cellValue(sort, i, shownMetric, label), down) : found;
    const all = h("input", {
      id: "choose-all", type: "checkbox", checked: found.length > 0 && found.every((i) => chosen.has(i)),
      "aria-label": "choose all runs that the filter finds", onchange: () => choose(found, all.checked),
    });
    const heads = shown.map((name) => sortHead(headText(name, shownMetric), state(), name, () => sortBy(name),
      { "data-column": name, class: isRight(name) && "number" }));
    place.replaceChildren(scrollBox("Runs", h("table", { id: "runs-table" },
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, all), heads)),
      h("tbody", { id: "runs-body" }, list.slice(0, limit).map((i) =>
        h("tr", { "data-run": RUNS.id(i) }, tick(i, label(i)), shown.map((name) =>
          h(name === "run" ? "th" : "td", {
            "data-column": name, class: isRight(name) && "number", scope: name === "run" ? "row" : null,
          }, runCell(name, i, shownMetric, label)))))))));
    return list.length;
  }

  function tick(i, name) {
    const box = h("input", {
      type: "checkbox", checked: chosen.has(i), "data-compare": RUNS.id(i), "aria-label": `compare ${name}`,
      onchange: () => {
        if (box.checked) chosen.add(i);
        else chosen.delete(i);
        showChosen();
      },
    });
    return h("td", {}, box);
  }

  function groupedTable(by, shownMetric) {
    const at = choices.among("at", ["final", "best"]);
    const grouped = groupRuns(found, by, shownMetric, at);
    const { groups, keys } = grouped;
    const columns = groupColumns(grouped, shownMetric, at);
    const { sort, down } = state();
    const sorter = columns.find((column) => column.name === sort);
    const list = sorter ? sorted(groups, sorter.value, down) : groups;
    const query = new URLSearchParams({ by: by.join(), values: shownMetric, at, ...(filter.value && { q: filter.value }) });
    place.replaceChildren(
      h("div", { class: "controls" },
        h("a", { id: "group-curves", class: "button", href: `#/groups?${query}` }, "Curves and sensitivity of the groups")),
      scrollBox("Groups of runs", h("table", { id: "groups-table" },
        h("thead", {}, h("tr", {}, columns.map(({ name, text, right }) =>
          sortHead(text ?? name, state(), name, () => sortBy(name), { class: right && "number" })))),
        h("tbody", { id: "groups-body" }, list.slice(0, limit).map((group) =>
          h("tr", { "data-group": group.name }, columns.map(({ name, show, right }) =>
            h("td", { "data-column": name, class: right && "number" }, show(group)))))))),
      h("p", { class: "quiet" }, "Best: the grid point with the fewest diverged runs, of these the one with the best "
        + `mean over its finished seeds (${at} value). Value: mean ± standard deviation over these; n: how many. `
        + (keys.length > by.length ? `Runs of another ${keys.filter((key) => !by.includes(key)).join(", ")} are apart.` : "")));
    return list.length;
  }

  const more = h("button", {
    id: "runs-more", type: "button", onclick: () => { limit *= MORE_ROWS; render(); },
  });
  render();
  return h("div", {},
    h("div", { class: "controls" }, labelled("Filter", filter),
      metrics.length > 0 && labelled("Final and best", metric), columnBox, groupBox, count, compare, clear),
    complaint, h("p", { id: "runs-help", class: "quiet" }, FILTER_HELP), place, more);
}

function groupColumns({ keys }, metric, at) {
  const point = (name) => (group) => group.best?.[name];
  return [
    ...keys.map((key, k) => ({
      name: key, value: (group) => RUNS.value(key, group.first), show: (group) => group.texts[k],
    })),
    { name: "best", text: "best point", value: (group) => group.best?.name, show: (group) => group.best?.name || BLANK },
    {
      name: "value", text: metric === HEADLINE ? `headline, ${at}` : `${metricLabel(metric)}, ${at}`, right: true,
      value: point("mean"), show: (group) => (group.best ? plusMinus(group.best) : BLANK),
    },
    { name: "n", right: true, value: point("n"), show: (group) => number(group.best?.n ?? 0) },
    { name: "points", right: true, value: (group) => group.points.length, show: (group) => number(group.points.length) },
    ...["diverged", "failed"].map((name) =>
      ({ name, right: true, value: (group) => group[name], show: (group) => number(group[name]) })),
    { name: "runs", right: true, value: (group) => group.members.length, show: (group) => number(group.members.length) },
  ];
}

// A list of boxes, those that vary first; the others say what all have.
function fillMenu(box, title, varying, ticked, onchange, names = [...RUNS.columns.keys()]) {
  const others = names.filter((name) => !varying.includes(name));
  const summary = ticked.length ? `${title}: ${ticked.length}` : title;
  const option = (name) => h("label", { class: "option" }, h("input", {
    type: "checkbox", checked: ticked.includes(name), "data-key": name, onchange: (event) =>
      onchange(event.target.checked ? [...ticked, name] : ticked.filter((other) => other !== name)),
  }), name);
  const focused = box.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  const search = box.querySelector("input[type=search]")?.value ?? "";
  const narrow = (text) => {
    for (const label of box.querySelectorAll(".option")) label.hidden = !label.textContent.includes(text);
  };
  const fill = () => {
    box.replaceChildren(h("summary", {}, summary), h("div", { class: "options" },
      h("input", { type: "search", value: search, placeholder: "find a key", "aria-label": `${title}: find a key`,
        oninput: (event) => narrow(event.target.value) }),
      h("p", { class: "quiet" }, "differ among these runs"), varying.map(option),
      h("p", { class: "quiet" }, "others"), others.map(option)));
    narrow(search);
    if (focused) box.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
  };
  // A hundred boxes that nobody has opened would slow every key stroke.
  if (box.open) fill();
  else box.replaceChildren(h("summary", {}, summary));
  box.ontoggle = () => { if (box.open && !box.querySelector(".options")) fill(); };
}

const headText = (name, metric) => (name === "final" || name === "best")
  ? `${name} ${metric === HEADLINE ? "value" : metricLabel(metric)}` : name;
const isRight = (name) => name === "final" || name === "best" || Boolean(RUNS.columns.get(name)?.right);

function cellValue(name, i, metric, label) {
  if (name === "run") return label(i);
  return name === "final" || name === "best" ? RUNS.metric(metric, name, i) : RUNS.value(name, i);
}

function runCell(name, i, metric, label) {
  if (name === "run") return h("a", { href: runLink(RUNS.id(i)) }, label(i));
  if (name === "status") return statusText(RUNS.status(i));
  if (name === "final" || name === "best") return even(RUNS.metric(metric, name, i));
  if (name === "step") return `${number(RUNS.value("step", i))}/${number(RUNS.index.steps[i])}`;
  return RUNS.columns.get(name).text(i);
}
