// What one types above a table of runs: terms that must all hold, with ! for not and OR between alternatives.

const FILTER_HELP = "All terms must hold; OR stands between alternatives, ! before what must not be. "
  + "optim:adam is adam alone, adam* any that begins so, lr:>=1e-3 a range, \"two words\" a text.";

// Split at spaces outside of quotes.
const words = (query) => query.match(/(?:[^\s"]|"[^"]*"?)+/g) ?? [];

// What a query says of runs: a test of each, or the complaint that a reader should see.
function parseFilter(query, shown) {
  const alternatives = [[]];
  for (const word of words(query)) {
    if (word === "OR") {
      alternatives.push([]);
      continue;
    }
    const term = parseTerm(word, shown);
    if (term.complaint) return { complaint: term.complaint, test: () => false };
    alternatives.at(-1).push(term.test);
  }
  // An OR that one is about to go on from has no second side yet.
  const sides = alternatives.filter((terms) => terms.length);
  if (!sides.length) return { test: () => true };
  return { test: (i) => sides.some((terms) => terms.every((test) => test(i))) };
}

function parseTerm(word, shown) {
  const not = word.startsWith("!") && word.length > 1;
  const rest = not ? word.slice(1) : word;
  const colon = rest.indexOf(":");
  const named = colon > 0 && !rest.startsWith('"');
  const term = named ? ofColumn(rest.slice(0, colon), unquoted(rest.slice(colon + 1)), shown) : ofText(unquoted(rest));
  if (term.complaint || !not) return term;
  return { test: (i) => !term.test(i) };
}

const unquoted = (text) => text.replaceAll('"', "");

function ofText(text) {
  const wanted = text.toLowerCase();
  return { test: (i) => searchText(i).includes(wanted) };
}

// What plain words are looked for in: all settings' values, the id, the status, and why a run failed.
let searchTexts = [];
function searchText(i) {
  searchTexts[i] ??= [RUNS.id(i), RUNS.status(i), RUNS.value("error", i) ?? "",
    ...RUNS.settings.map((column) => (column.place(i) >= 0 ? column.text(i) : ""))].join("\n").toLowerCase();
  return searchTexts[i];
}

function ofColumn(name, wanted, shown) {
  const [, sign, text] = wanted.match(/^(>=|<=|>|<|=)?(.*)$/);
  if (sign && sign !== "=" && (text === "" || Number.isNaN(Number(text)))) {
    return { complaint: `${name}:${wanted}: behind ${sign} stands a number, as in lr:${sign}1e-3.` };
  }
  if (name === "study") {
    const holds = matcher(sign, text);
    return { test: (i) => (studiesByRun().get(i) ?? []).some(({ study }) => holds(study.name)) };
  }
  if (name === "final" || name === "best") {
    const holds = matcher(sign, text);
    return { test: (i) => holds(RUNS.metric(shown, name, i)) };
  }
  const column = RUNS.columns.get(name);
  if (!column) return { complaint: unknownColumn(name) };
  const holds = matcher(sign, text);
  if (!column.values) return { test: (i) => holds(column.value(i)) };
  // Few values, many runs: each value is looked at once.
  const places = column.values.map((value, place) => holds(value) || (!isNumber(value) && holds(column.texts[place])));
  return { test: (i) => Boolean(places[column.place(i)]) };
}

// A number is compared as one, and a text letter by letter but for their case; * stands for any letters.
function matcher(sign, text) {
  const target = text === "" ? NaN : Number(text);
  if (sign && sign !== "=") {
    const compare = { ">": (a) => a > target, "<": (a) => a < target, ">=": (a) => a >= target, "<=": (a) => a <= target };
    return (value) => isNumber(value) && compare[sign](value);
  }
  const pattern = text.split("*").map((part) => part.replace(/[.+?^${}()|[\]\\]/g, "\\$&")).join(".*");
  const whole = new RegExp(`^${pattern}$`, "is");
  return (value) => {
    if (value === undefined) return false;
    if (isNumber(value) && !Number.isNaN(target)) return value === target;
    return whole.test(String(value));
  };
}

function unknownColumn(name) {
  const known = [...RUNS.columns.keys(), "study", "final", "best"];
  const close = known.map((other) => [distance(name, other), other]).sort(([a], [b]) => a - b)
    .filter(([far, other]) => far <= Math.max(2, other.length / 3) || other.includes(name)).slice(0, 3);
  const hint = close.length ? ` Is it ${close.map(([, other]) => other).join(", ")}?` : " “Columns” lists all.";
  return `There is no column ${name}.${hint} A text with a colon goes into quotes.`;
}

// How many letters one must change, add or leave out.
function distance(one, other) {
  let row = Array.from({ length: other.length + 1 }, (_, j) => j);
  for (let i = 1; i <= one.length; i++) {
    const next = [i];
    for (let j = 1; j <= other.length; j++) {
      next.push(Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (one[i - 1] !== other[j - 1])));
    }
    row = next;
  }
  return row.at(-1);
}
