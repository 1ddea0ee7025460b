// The pages behind the address: studies, one study, suites, runs, one run, several runs or groups side by side.

const main = document.getElementById("main");
const VIEWS = {
  study: studyView, suites: suitesView, suite: suiteView, runs: runsView, run: runView, compare: compareView,
  groups: groupsView,
};
const TABS = { study: "nav-studies", suites: "nav-suites", suite: "nav-suites" };

function runsView(path, choices) {
  return ["Runs", RUNS.count ? runsTable(RUNS.all, choices) : nothing(NO_RUNS, FIRST_COMMAND)];
}

let shown = 0;
async function show() {
  const mine = ++shown;
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
  main.replaceChildren(heading, ...content.flat(Infinity).filter((node) => node));
  document.title = found ? `${title} · ${DATA.title}` : DATA.title;
  const here = found ? TABS[view] ?? "nav-runs" : "nav-studies";
  for (const link of document.querySelectorAll(".bar nav a")) {
    if (link.id === here) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  scrollTo(0, history.state?.y ?? 0);
  const address = location.hash;
  if (redraws.length) {
    await loadPlotly();
    if (mine !== shown) return; // somebody has gone on meanwhile
    redraws.forEach((redraw) => redraw()); // plots measure their place, so they come after it is in the page
    scrollTo(0, history.state?.y ?? 0);
  }
  main.dataset.address = address;
  performance.mark("shown");
}

// Going back to a long table should lead to the row one left. The browser cannot do that itself, as it
// scrolls before the page is drawn.
history.scrollRestoration = "manual";
addEventListener("scrollend", () => history.replaceState({ y: scrollY }, ""));

addEventListener("hashchange", () => {
  show();
  // So that the keyboard and a screen reader start at the new page.
  main.querySelector("h1").focus({ preventScroll: true });
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => redraws.forEach((redraw) => redraw()));
// A menu closes where one goes on elsewhere, and on Escape.
function closeMenus(except) {
  for (const menu of document.querySelectorAll(".menu[open]")) if (!menu.contains(except)) menu.open = false;
}
document.addEventListener("click", (event) => closeMenus(event.target));
document.addEventListener("keydown", (event) => {
  const menu = event.key === "Escape" && event.target.closest?.(".menu[open]");
  if (!menu) return;
  menu.open = false;
  menu.querySelector("summary").focus();
});
document.getElementById("skip").addEventListener("click", () => main.querySelector("h1").focus());

async function start() {
  if (!window.DecompressionStream || !Map.groupBy) {
    main.replaceChildren(h("p", { class: "notice" }, "This page needs a browser of 2024 or later."));
    return;
  }
  const [payload, curves] = await Promise.all([inflated("payload"), inflated("curves")]);
  DATA = JSON.parse(new TextDecoder().decode(payload));
  STUDIES = DATA.studies;
  RUNS = new Runs(DATA.runs);
  CURVES = new DataView(curves.buffer);
  document.getElementById("nav-suites").hidden = !DATA.suites.length;
  document.getElementById("footer").append(
    [DATA.title, DATA.version, DATA.generated?.replace("T", " ").replace("Z", " UTC")].filter(Boolean).join(" · "));
  await show();
}
start();
