// The table of runs: one filter over all columns, sortable headers, and a choice of runs to compare.

// Rows put in the document at first, and how many times as many at each asking for more: drawing rows is
// what takes time, so few keep typing quick with thousands of runs.
const FIRST_ROWS = 150;
const MORE_ROWS = 4;
const COLLATOR = new Intl.Collator("en", { numeric: true });
const chosen = new Set(); // ids ticked for comparison; kept while one moves between pages

// As many digits in every row, so that the eye can run down the column.
const even = (value) =>
  isNumber(value) && Math.abs(value) >= 1e-3 && Math.abs(value) < 1e4 ? value.toPrecision(4) : number(value);

// Offered beside the metrics: of each run the one that says best how a run of its task went.
const HEADLINE = "headline";
const named = (metric, run) => (metric === HEADLINE ? run.headline : metric);

// `value` is what sorting and `name:value` terms look at, `text` what is shown where it differs.
const RUN_COLUMNS = [
  { name: "id", value: (run) => run.id, link: true },
  { name: "task", value: (run) => run.task },
  { name: "optim", value: (run) => run.optim },
  { name: "lr", right: true, value: (run) => run.lr },
  { name: "seed", right: true, value: (run) => run.seed },
  { name: "profile", value: (run) => run.profile },
  { name: "data", value: (run) => run.data },
  { name: "status", value: (run) => run.status },
  {
    name: "step", right: true, value: (run) => run.step,
    text: (step, run) => `${number(step)}/${number(run.steps)}`,
  },
  { name: "final", right: true, value: (run, metric) => run.final?.[named(metric, run)], text: even },
  { name: "best", right: true, value: (run, metric) => run.best?.[named(metric, run)]?.value, text: even },
  { name: "wall", right: true, value: (run) => run.wall_seconds, text: duration },
];

const cellText = (column, run, metric) => (column.text ?? number)(column.value(run, metric), run);

// One test for each space-separated term; a run must pass them all.
function filterTests(query, metric) {
  return query.toLowerCase().split(/\s+/).filter(Boolean).map((term) => {
    const [, name, sign, wanted] = term.match(/^(\w+):([<>]?)(.*)$/) ?? [];
    const column = RUN_COLUMNS.find((item) => item.name === name);
    // A colon after anything but a column's name is ordinary text.
    if (!column) return (run, text) => text.includes(term);
    const target = wanted === "" ? NaN : Number(wanted);
    return (run) => {
      const value = column.value(run, metric);
      if (sign) return isNumber(value) && (sign === "<" ? value < target : value > target);
      if (isNumber(value) && !Number.isNaN(target)) return value === target;
      return cellText(column, run, metric).toLowerCase().includes(wanted);
    };
  });
}

function sortRuns(runs, column, metric, down) {
  const missing = (value) => value === null || value === undefined;
  return [...runs].sort((a, b) => {
    const [x, y] = [column.value(a, metric), column.value(b, metric)];
    if (missing(x) || missing(y)) return missing(x) - missing(y); // last in either direction
    const order = isNumber(x) && isNumber(y) ? x - y : COLLATOR.compare(String(x), String(y));
    return down ? -order : order;
  });
}

function runsTable(runs, choices) {
  const metrics = metricOrder(runs.flatMap((run) => Object.keys({ ...run.final, ...run.best })));
  const metric = h("select", { id: "runs-metric", onchange: () => set("values", metric.value) });
  const filter = h("input", {
    id: "runs-filter", type: "search", value: choices.get("q") ?? "", autocomplete: "off", spellcheck: "false",
    placeholder: "adam status:diverged lr:>0.001", "aria-describedby": "runs-help",
    oninput: () => set("q", filter.value),
  });
  const count = h("output", { id: "runs-count", "aria-live": "polite" });
  const compare = h("a", { id: "compare-link", class: "button" });
  const empty = () => { chosen.clear(); render(); };
  const clear = h("button", { id: "compare-clear", type: "button", onclick: empty }, "Clear");
  const body = h("tbody", { id: "runs-body" });
  const extend = () => { limit *= MORE_ROWS; render(); };
  const more = h("button", { id: "runs-more", type: "button", onclick: extend });
  const heads = RUN_COLUMNS.map((column) =>
    h("th", { scope: "col", "data-column": column.name, class: column.right && "number" },
      h("button", { type: "button", "data-sort": column.name, onclick: () => sortBy(column.name) }, column.name)));
  let limit = FIRST_ROWS;
  let texts = null; // the text of each run that plain terms look at; depends on the metric shown
  let waiting = 0;

  function set(name, value) {
    choices.set(name, value);
    limit = FIRST_ROWS;
    if (name === "values") texts = null;
    // Several key strokes within one frame are one drawing.
    cancelAnimationFrame(waiting);
    waiting = requestAnimationFrame(render);
  }

  function sortBy(name) {
    choices.set("down", choices.get("sort") === name && !choices.get("down") ? "1" : null);
    choices.set("sort", name);
    render();
  }

  function tick(run) {
    const box = h("input", {
      type: "checkbox", checked: chosen.has(run.id), "data-compare": run.id,
      "aria-label": `compare run ${run.id}`,
      onchange: () => {
        if (box.checked) chosen.add(run.id);
        else chosen.delete(run.id);
        showChosen();
      },
    });
    return h("td", {}, box);
  }

  function showChosen() {
    compare.hidden = clear.hidden = chosen.size === 0;
    compare.textContent = `Compare ${plural(chosen.size, "run")}`;
    compare.href = `#/compare/${[...chosen].map(encodeURIComponent).join(",")}`;
  }

  function render() {
    const name = choices.among("values", [HEADLINE, ...metrics]);
    const sorted = RUN_COLUMNS.find((column) => column.name === choices.get("sort"));
    const down = Boolean(choices.get("down"));
    texts ??= new Map(runs.map((run) => [run,
      [...RUN_COLUMNS.map((column) => cellText(column, run, name)), run.error ?? ""].join(" ").toLowerCase()]));
    const tests = filterTests(filter.value, name);
    let found = runs.filter((run) => tests.every((test) => test(run, texts.get(run))));
    if (sorted) found = sortRuns(found, sorted, name, down);
    const options = metrics.map((item) => [item, metricLabel(item)]);
    fillSelect(metric, [[HEADLINE, "headline of each task"], ...options], name);
    heads.forEach((head, i) => {
      const on = RUN_COLUMNS[i] === sorted;
      head.setAttribute("aria-sort", on ? (down ? "descending" : "ascending") : "none");
    });
    count.textContent = `${found.length.toLocaleString("en")} of ${plural(runs.length, "run")}`;
    body.replaceChildren(...found.slice(0, limit).map((run) =>
      h("tr", { "data-run": run.id }, tick(run), RUN_COLUMNS.map((column) => {
        const text = cellText(column, run, name);
        const content = column.link ? h("a", { href: runLink(run.id) }, text)
          : column.name === "status" ? statusText(run.status) : text;
        return h("td", { "data-column": column.name, class: column.right && "number" }, content);
      }))));
    more.hidden = found.length <= limit;
    more.textContent = `The first ${limit} are shown. Show ${Math.min((MORE_ROWS - 1) * limit, found.length - limit)} more`;
    showChosen();
  }

  render();
  return h("div", {},
    h("div", { class: "controls" }, labelled("Filter", filter),
      metrics.length > 0 && labelled("Final and best", metric), count, compare, clear),
    h("p", { id: "runs-help", class: "quiet" },
      "All terms must match. A term is text, column:text, or column:>number."),
    h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Runs" },
      h("table", { id: "runs-table" },
        h("thead", {}, h("tr", {},
          h("th", { scope: "col" }, h("span", { class: "hidden" }, "compare")), heads)),
        body)),
    more);
}
