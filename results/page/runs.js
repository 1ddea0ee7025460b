// All runs of the page, by columns: what a run has of a key stands there once for all that have it alike.

// What else a run has depends on these: only among runs that share them does a setting tell apart.
const SORT = ["task", "optim", "profile", "data"];
const RATE = "lr"; // a reader asks for it even where the optimizer's name says it
// Offered beside the metrics: of each run the one that says best how a run of its task went.
const HEADLINE = "headline";

// A column whose values are few: `at` has the place of each run's value, or -1; without it, all have the first.
class CodedColumn {
  constructor(name, kind, { values, texts, at }) {
    Object.assign(this, { name, kind, values, texts, at });
    this.right = values.some(isNumber);
  }
  place(i) { return this.at ? this.at[i] : 0; }
  value(i) { return this.values[this.place(i)]; }
  text(i) { return this.texts[this.place(i)] ?? BLANK; }
}

// A column of numbers, nearly all different.
class NumberColumn {
  constructor(name, kind, numbers, show = number) {
    Object.assign(this, { name, kind, numbers, show, right: true });
  }
  value(i) { return this.numbers[i]; }
  text(i) { return this.show(this.numbers[i]); }
}

class Runs {
  constructor(index) {
    this.index = index;
    this.count = index.count;
    this.all = Array.from({ length: this.count }, (_, i) => i);
    this.byId = new Map(index.id.map((id, i) => [id, i]));
    this.settings = Object.entries(index.settings).map(([name, of]) => new CodedColumn(name, "setting", of));
    const columns = [
      ...Object.entries(index.of_run).map(([name, of]) => new CodedColumn(name, "run", of)),
      new NumberColumn("id", "run", index.id, String),
      new NumberColumn("step", "run", index.step),
      new NumberColumn("wall", "run", index.wall_seconds, duration),
      ...this.settings,
      ...Object.entries(index.final).map(([name, of]) => new NumberColumn(name, "final metric", of, even)),
      ...Object.entries(index.best).map(([name, of]) => new NumberColumn(`best ${name}`, "best metric", of, even)),
      ...Object.entries(index.environment).map(([name, of]) => new CodedColumn(`env.${name}`, "environment", of)),
    ];
    this.columns = new Map();
    for (const column of columns) if (!this.columns.has(column.name)) this.columns.set(column.name, column);
    this.starts = new Array(this.count);
    index.blocks.reduce((start, length, i) => { this.starts[i] = start; return start + length; }, 0);
    this.drawn = new Map();
  }

  id(i) { return this.index.id[i]; }
  value(name, i) { return this.columns.get(name)?.value(i); }
  status(i) { return this.value("status", i); }
  scope(i) { return { profile: this.value("profile", i), data: this.value("data", i) }; }
  folder(i) { return `${this.value("folder", i)}/${this.id(i)}`; }

  // A metric of a run: at the end, or the best that it had.
  metric(name, at, i) {
    const metric = name === HEADLINE ? this.value("headline", i) : name;
    return this.index[at === "best" ? "best" : "final"][metric]?.[i] ?? null;
  }

  // The settings that not all of these runs have with the same value, the seed last.
  varying(list) {
    const found = this.settings.filter((column) => column.at && list.some((i) => column.at[i] !== column.at[list[0]]));
    return found.map((column) => column.name).sort((a, b) => (a === "seed") - (b === "seed"));
  }

  // Of the settings that vary those that tell most: what runs are of, then what was tried in each optimizer.
  telling(list, varying) {
    const alike = [...Map.groupBy(list, (i) => SORT.map((name) => this.columns.get(name).place(i)).join()).values()];
    const tried = new Set(alike.flatMap((members) => this.varying(members)));
    const rank = (name) => (SORT.includes(name) ? 0 : tried.has(name) ? 1 : 2);
    return varying.filter((name) => rank(name) < 2).sort((a, b) => rank(a) - rank(b));
  }

  // Of each of these runs what tells it from the others; as engine/labels.py says it.
  labels(list) {
    const varying = new Set(this.varying(list));
    const columns = SORT.map((name) => this.columns.get(name));
    const sortOf = (i) => columns.map((column) => column.place(i)).join();
    const sorts = Map.groupBy(list, sortOf);
    const within = new Map();
    const text = (name, i) => this.columns.get(name).text(i);
    return (i) => {
      const sort = sortOf(i);
      if (!within.has(sort)) within.set(sort, this.varying(sorts.get(sort)));
      const own = within.get(sort);
      const source = ["profile", "data"].filter((name) => varying.has(name)).map((name) => this.value(name, i)).filter(Boolean);
      const told = [...(varying.has(RATE) && !own.includes(RATE) ? [RATE] : []), ...own]
        .filter((name) => this.columns.get(name).place(i) >= 0);
      return [varying.has("task") && text("task", i), text("optim", i), source.length && `(${source.join(", ")})`,
        ...told.map((name) => `${name}=${text(name, i)}`)].filter(Boolean).join(" ");
    };
  }

  // The thinned curves of a run, by metric; as results/payload_runs.py has packed them.
  curves(i) {
    if (!this.drawn.has(i)) this.drawn.set(i, unpacked(CURVES, this.starts[i], this.index.blocks[i], this.index.metrics));
    return this.drawn.get(i);
  }
}

let RUNS = null;
let CURVES = null; // a DataView over the packed curves of all runs

const LEVELS = 65534;
const HEAD_BYTES = 22;

function unpacked(view, start, length, metrics) {
  const found = {};
  let step = [];
  for (let at = start; at < start + length;) {
    const [name, count] = [metrics[view.getUint16(at, true)], view.getUint16(at + 2, true)];
    const [same, log] = [view.getUint8(at + 4), view.getUint8(at + 5)];
    const [least, most] = [view.getFloat64(at + 6, true), view.getFloat64(at + 14, true)];
    at += HEAD_BYTES;
    if (!same) {
      step = [];
      for (let i = 0; i < count; i++, at += 4) step.push((step.at(-1) ?? 0) + view.getUint32(at, true));
    }
    const mean = [];
    for (let i = 0; i < count; i++) {
      const level = 256 * view.getUint8(at + i) + view.getUint8(at + count + i);
      const part = level / LEVELS;
      mean.push(level > LEVELS ? null : log ? least * (most / least) ** part : least + part * (most - least));
    }
    at += 2 * count;
    found[name] = { step, mean };
  }
  return found;
}

// As many digits in every row, so that the eye can run down the column.
function even(value) {
  return isNumber(value) && Math.abs(value) >= 1e-3 && Math.abs(value) < 1e4 ? value.toPrecision(4) : number(value);
}

// The studies that have a run, as "lp_adam/fc2".
let studiesOf = null;
function studiesByRun() {
  if (studiesOf) return studiesOf;
  studiesOf = new Map();
  for (const study of STUDIES) {
    for (const variant of study.variants) {
      for (const i of variant.runs) {
        if (!studiesOf.has(i)) studiesOf.set(i, []);
        studiesOf.get(i).push({ study, variant });
      }
    }
  }
  return studiesOf;
}
