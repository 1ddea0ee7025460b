// Runs of a group by their grid points: means over seeds, and the best point of each group.

// Runs that differ in these have nothing in common that a mean could be of.
const APART = ["task", "profile", "data"];

function groupRuns(list, chosenKeys, metric, at) {
  const varying = RUNS.varying(list);
  const keys = [...APART.filter((key) => varying.includes(key) && !chosenKeys.includes(key)), ...chosenKeys];
  const pointKeys = varying.filter((key) => key !== "seed" && !keys.includes(key));
  const groups = [...Map.groupBy(list, codesOf(keys)).values()].map((members) => {
    const points = [...Map.groupBy(members, codesOf(pointKeys)).values()].map((runs) =>
      ({ runs, ...overSeeds(runs, metric, at) }));
    const own = RUNS.varying(members).filter((key) => pointKeys.includes(key));
    for (const point of points) point.name = settingsText(own, point.runs[0]);
    const first = members[0];
    const direction = better(metric === HEADLINE ? RUNS.value("headline", first) : metric);
    return {
      first, members, points, best: bestPoint(points, direction),
      texts: keys.map((key) => RUNS.columns.get(key).text(first)),
      name: groupName(keys, first), ...counts(members),
    };
  });
  return { keys, pointKeys, groups };
}

function codesOf(keys) {
  const columns = keys.map((key) => RUNS.columns.get(key));
  return (i) => columns.map((column) => column.text(i)).join("\n");
}

// By numbers that are nearly all different, such as metrics, there are no groups.
const canGroup = (key) => Boolean(RUNS.columns.get(key)?.place);
const groupingKeys = (choices) => (choices.get("by") ?? "").split(",").filter(canGroup);

const settingsText = (keys, i) => keys.filter((key) => RUNS.columns.get(key).place(i) >= 0)
  .map((key) => `${key}=${RUNS.columns.get(key).text(i)}`).join(" ");

// "adam p=6": what speaks for itself stands without its key.
function groupName(keys, i) {
  const plain = ["task", "optim"].filter((key) => keys.includes(key)).map((key) => RUNS.columns.get(key).text(i));
  return [...plain, settingsText(keys.filter((key) => key !== "task" && key !== "optim"), i)].filter(Boolean).join(" ")
    || "all";
}

const counts = (runs) => Object.fromEntries(["finished", "diverged", "failed"].map((status) =>
  [status, runs.filter((i) => RUNS.status(i) === status).length]));

// The mean over the runs that finished, and their standard deviation.
function overSeeds(runs, metric, at) {
  const values = runs.filter((i) => RUNS.status(i) === "finished").map((i) => RUNS.metric(metric, at, i)).filter(isNumber);
  return { n: values.length, ...meanAndSpread(values), ...counts(runs) };
}

function meanAndSpread(values) {
  if (!values.length) return { mean: null, spread: null };
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean, spread: values.length > 1 ? Math.sqrt(squares / (values.length - 1)) : null };
}

// As a study chooses: the more runs of a point diverged, the worse it is, whatever the mean of those that are left.
function bestPoint(points, direction) {
  const known = points.filter((point) => point.n);
  if (!direction) return known.length === 1 ? known[0] : null;
  const sign = direction === "min" ? 1 : -1;
  return known.sort((a, b) => a.diverged - b.diverged || sign * (a.mean - b.mean))[0] ?? null;
}

const plusMinus = ({ mean, spread }) => {
  if (!isNumber(mean)) return BLANK;
  if (!spread) return even(mean);
  const decimals = Math.min(Math.max(1 - Math.floor(Math.log10(spread)), 0), 6);
  return `${mean.toFixed(decimals)} ± ${spread.toFixed(decimals)}`;
};

// -- for drawing -----------------------------------------------------------------------------------

// The mean curve of some runs, wherever the one with the fewest points has one.
function meanCurves(runs) {
  const all = runs.map((i) => RUNS.curves(i));
  const found = {};
  for (const name of Object.keys(all[0] ?? {})) {
    const curves = all.map((curve) => curve[name]).filter(Boolean);
    const { step } = curves.reduce((a, b) => (a.step.length <= b.step.length ? a : b));
    const last = Math.min(...curves.map((curve) => curve.step.at(-1)));
    const shown = step.filter((at) => at <= last);
    const columns = curves.map((curve) => curve.step === step ? curve.mean : between(curve.step, curve.mean, shown));
    const stats = shown.map((_, k) => meanAndSpread(columns.map((column) => column[k]).filter(isNumber)));
    const edge = (sign) => stats.map(({ mean, spread }) => (isNumber(spread) ? mean + sign * spread : mean));
    found[name] = { step: shown, mean: stats.map(({ mean }) => mean), low: edge(-1), high: edge(1), seeds: curves.length };
  }
  return found;
}

// Values at other places, on the straight lines between those that are known.
function between(places, values, wanted) {
  let k = 0;
  return wanted.map((at) => {
    while (k < places.length - 2 && places[k + 1] < at) k += 1;
    const [left, right] = [places[k], places[k + 1] ?? places[k]];
    if (at < left || at > right || !isNumber(values[k])) return at === right ? values[k + 1] ?? null : null;
    const part = right > left ? (at - left) / (right - left) : 0;
    return isNumber(values[k + 1]) ? values[k] + part * (values[k + 1] - values[k]) : part === 0 ? values[k] : null;
  });
}

const groupCurves = (groups) => groups.filter((group) => group.best).map((group) => ({
  row: group.name, column: "", point: group.best.name, metrics: meanCurves(group.best.runs.filter((i) =>
    RUNS.status(i) === "finished")), first: group.first,
}));

// What a setting does in each group, the others at their best for each of its values.
function groupSensitivity({ groups, pointKeys }, metric, at) {
  const numeric = pointKeys.filter((key) => RUNS.columns.get(key).right);
  return numeric.flatMap((key) => groups.flatMap((group) => {
    const byValue = Map.groupBy(group.points, (point) => RUNS.value(key, point.runs[0]));
    const x = [...byValue.keys()].filter(isNumber).sort((a, b) => a - b);
    if (x.length < 2) return [];
    const name = metric === HEADLINE ? RUNS.value("headline", group.first) : metric;
    const found = x.map((value) => bestPoint(byValue.get(value), better(name)));
    const edge = (sign) => found.map((point) => (point ? point.mean + sign * (point.spread ?? 0) : null));
    const diverged = x.map((value) => byValue.get(value).reduce((sum, point) => sum + point.diverged, 0));
    const values = { x, mean: found.map((point) => point?.mean ?? null), low: edge(-1), high: edge(1), diverged };
    return [{ row: group.name, column: "", key, metrics: { [name]: values } }];
  }));
}
