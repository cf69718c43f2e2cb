/* Filter */

const equal = (a, b) => a === b || (a !== "" && b !== "" && Number(a) === Number(b));

/** Whether every word occurs in a label; `name=label` must match exactly, or as a number. Quotes join words. */
function matcher(text) {
  const parts = (text.toLowerCase().match(/(?:[^\s"]|"[^"]*"?)+/g) ?? []).map((part) => part.replaceAll('"', ""));
  return (number) => {
    const labels = Object.entries(items[number].labels).map((pair) => pair.map((one) => one.toLowerCase()));
    return parts.every((part) => {
      const at = part.indexOf("=");
      const [name, label] = [part.slice(0, at), part.slice(at + 1)];
      return labels.some(([of, is]) => `${of}=${is}`.includes(part) && at < 0
        || at >= 0 && of === name && equal(is, label));
    });
  };
}

/* Arrangement */

const rowsOfPart = 6; // the browser lays out, draws and loads parts of this many rows only near the window

/** The items as a wrapped list in parts, each with the labels that no head says. */
function list(numbers, said = [], perRow = columnCount()) {
  for (const number of numbers) {
    const left = Object.entries(items[number].labels).filter(([name]) => !said.includes(name));
    card(number).querySelector(".labels").textContent = words(Object.fromEntries(left));
  }
  shown.push(...numbers);
  const parts = [];
  for (let start = 0; start < numbers.length; start += perRow * rowsOfPart) {
    const part = make("div", { className: "part" }, ...numbers.slice(start, start + perRow * rowsOfPart).map(card));
    part.style.setProperty("--rows", Math.ceil(part.childElementCount / perRow));
    parts.push(part);
  }
  return make("div", { className: "list" }, ...parts);
}

/** How many cards fit side by side; also sets the height that a card probably has. */
function columnCount() {
  const width = parseFloat(getComputedStyle(byId("measure")).width);
  const [, across, tall] = items.find((item) => item.thumbnail)?.thumbnail ?? ["", 1, 1];
  byId("items").style.setProperty("--tall", `${Math.round((width * tall) / across + (byId("seeds").checked ? width + 90 : 62))}px`);
  return Math.max(1, Math.floor((byId("items").clientWidth - 16) / (width + 8)));
}

/** Label -> numbers of its items, in the order of the axis. */
function byLabel(name, numbers) {
  const groups = new Map((data.axes.find((axis) => axis.name === name)?.labels ?? []).map((label) => [label, []]));
  for (const number of numbers) groups.get(items[number].labels[name])?.push(number);
  return [...groups].filter(([, group]) => group.length);
}

/** What says a label, with the content or style it stands for. */
function head(name, label, number) {
  const key = ["content", "style"].includes(name) && items[number].inputs.find((one) => one.startsWith(name));
  const small = key && data.inputs[key]?.thumbnail;
  return make("div", { className: "head" }, ...(small ? [picture(small)] : []), small ? label : `${name} = ${label}`);
}

function table(across, down, numbers) {
  const columns = byLabel(across, numbers);
  const top = columns.map(([label, [first]]) => make("th", { scope: "col" }, head(across, label, first)));
  const rows = byLabel(down, numbers).map(([label, row]) => {
    const cells = new Map(byLabel(across, row));
    return make("tr", {}, make("th", { scope: "row" }, head(down, label, row[0])),
      ...columns.map(([column]) => make("td", {}, list(cells.get(column) ?? [], [across, down], 1))));
  });
  const whole = make("table", { className: "crossed" }, make("thead", {}, make("tr", {}, make("th"), ...top)), make("tbody", {}, ...rows));
  const longest = Math.max(...byLabel(down, numbers).map(([label, [first]]) => head(down, label, first).textContent.length));
  whole.style.setProperty("--columns", columns.length);
  whole.style.setProperty("--head", `min(${Math.max(8, longest + 2)}ch, var(--card))`);
  for (const row of rows) {
    const tallest = Math.max(...[...row.cells].slice(1).map((one) => one.querySelectorAll(".card").length));
    row.style.setProperty("--rows", Math.max(1, tallest));
  }
  return whole;
}

function groups(name, numbers) {
  return byLabel(name, numbers).map(([label, group]) => {
    const said = head(name, label, group[0]);
    said.className = "group";
    return make("section", {}, said, list(group, [name]));
  });
}

/** The items, or with "over seeds" the groups; those outside the grid last. */
function all() {
  const numbers = items.map((_, number) => number).filter((number) => Boolean(items[number].seeds) === byId("seeds").checked);
  const order = (one, two) => items[one].outside - items[two].outside || items[one].item - items[two].item || one - two;
  return numbers.sort(order);
}

/** Those that the filter and the brushes let through. */
function visible() {
  const [matches, passes] = [matcher(byId("filter").value), brushed()];
  return all().filter((number) => matches(number) && passes(number));
}

function arrange(numbers) {
  const [across, down, sort] = ["across", "down", "sort"].map((id) => byId(id).value);
  const known = [across, down].filter((name) => numbers.some((number) => name in items[number].labels));
  if (sort) {
    const value = new Map(numbers.map((number) => [number, rank(number, sort)]));
    return [list([...numbers].sort((a, b) => (value.get(a) < value.get(b) ? -1 : Number(value.get(a) > value.get(b)))))];
  }
  if (known.length === 2 && across !== down) return [table(across, down, numbers)];
  return known.length && data.axes.length > 1 ? groups(known[0], numbers) : [list(numbers)];
}

function render() {
  const numbers = visible();
  const [inside, outside] = [false, true].map((one) => numbers.filter((number) => items[number].outside === one));
  byId("count").textContent = `${numbers.length} of ${all().length}`;
  byId("unbrush").hidden = brushes.size === 0;
  shown = [];
  const arranged = arrange(inside);
  if (outside.length) {
    const head = make("h2", { className: "group", textContent: "Outside the grid of today" });
    arranged.push(make("section", { className: "outside" }, head, list(outside)));
  }
  byId("items").replaceChildren(...arranged);
  redraw();
  remember();
}

const panel = () => document.querySelector("[name=panel]:checked").value;

/** Draws what stands above the pictures. */
const redraw = oncePerFrame(() => {
  const kind = panel();
  byId("panel").hidden = !kind;
  byId("panel").className = `scripted ${kind}`;
  tip(-1);
  if (kind === "table") tabulate(shown, byId("sort").value);
  if (kind === "scatter") drawScatter();
  if (kind === "parallel") drawParallel();
});

/* Viewer */

function view(position) {
  if (position < 0 || position >= shown.length) return;
  open = position;
  const number = shown[position];
  const item = items[number];
  byId("caption").textContent = describe(number);
  byId("pick").checked = picked.has(number);
  byId("pick").parentElement.hidden = !item.thumbnail;
  load(byId("full"), item.file, thumbnail(number), describe(number));
  byId("inputs").replaceChildren(...item.inputs.filter((key) => data.inputs[key]).map((key) => {
    const image = make("img");
    load(image, data.inputs[key].file, path(data.inputs[key].thumbnail[0]), key);
    return make("p", {}, image, key.split(" ")[0]);
  }), ...(item.seeds ? [make("p", {}, ...spreadOf(number))] : []));
  const values = Object.fromEntries([...Object.keys(item.losses), ...Object.keys(item.measures)].map((name) => [name, said(number, name, 6)]));
  const facts = { ...item.labels, ...values, seconds: digits(item.seconds, 6), status: item.status, file: item.file };
  byId("facts").replaceChildren(...Object.entries(facts).flatMap(([name, value]) =>
    [make("dt", { textContent: name }), make("dd", { textContent: value })]));
  if (!byId("viewer").open) byId("viewer").showModal();
}

/** How many pictures stand side by side. */
function perRow() {
  const tops = shown.slice(0, 200).map((number) => card(number).getBoundingClientRect().top);
  const next = tops.findIndex((top) => top !== tops[0]);
  return next < 0 ? shown.length : next;
}

/* What is chosen is kept in the address, to be linked to, and by the browser, to be found on another day. */

const chosen = ["across", "down", "sort", "filter", "x", "y", "colour"];
const id = (number) => items[number].key || String(items[number].item);

const remember = oncePerFrame(() => {
  const state = new URLSearchParams(chosen.map((id) => [id, byId(id).value]));
  state.set("panel", panel());
  state.set("seeds", byId("seeds").checked ? "1" : "");
  state.set("picks", [...picked.keys()].map(id).join(","));
  try {
    history.replaceState(null, "", `#${state}`);
    localStorage.setItem(storage, String(state));
  } catch { /* a browser may forbid either */ }
});

function recall() {
  let text = location.hash.slice(1);
  try { text ||= localStorage.getItem(storage) ?? ""; } catch { /* forbidden */ }
  const state = new URLSearchParams(text);
  for (const id of chosen) {
    const value = state.get(id);
    const known = id === "filter" || [...byId(id).options].some((one) => one.value === value);
    if (value !== null && known) byId(id).value = value;
  }
  for (const radio of document.getElementsByName("panel")) if (radio.value === state.get("panel")) radio.checked = true;
  byId("seeds").checked = state.get("seeds") === "1" && data.groups.length > 0;
  const wanted = new Set((state.get("picks") ?? "").split(",").filter(Boolean));
  items.forEach((_, number) => { if (wanted.has(id(number))) pick(number, true); });
}

/** Fills a list of choices; what was chosen stays, or else it is `fallback`. */
function options(id, entries, fallback, spell = (name) => name) {
  const select = byId(id);
  const before = select.options.length > 1 ? select.value : fallback;
  select.replaceChildren(...entries.map((value) => make("option", { value, textContent: value ? spell(value) : "none" })));
  select.value = entries.includes(before) ? before : fallback;
  select.onchange = render;
}

/** Fills all lists of choices with the settings, losses and measures that there are. */
function choices() {
  const [across, down] = defaults();
  const names = ["", ...data.axes.map(({ name }) => name)];
  options("across", names, across);
  options("down", names, down);
  options("sort", ["", ...quantities()], "", spaced);
  const known = plottable();
  const pairs = [["content_ssim", "style_distance_vgg"], ["content_ssim", "style_distance_wavelet"], ["content_loss", "style_loss"]];
  const [x = "", y = x] = pairs.find((pair) => pair.every((name) => known.includes(name))) ?? known;
  options("x", known, x, spaced);
  options("y", known, y, spaced);
  options("colour", names, data.axes.find(({ name, labels }) => name !== "seed" && labels.length > 1)?.name ?? "");
  byId("over-seeds").hidden = data.groups.length === 0;
  byId("parallel").hidden = data.axes.filter(({ labels }) => labels.length > 1).length < 2;
}

/** Of the two longest axes, the one that fits runs across; paired values make no grid. */
function defaults() {
  if (data.paired || data.axes.length < 2) return ["", ""];
  const [longest, second] = [...data.axes].sort((a, b) => b.labels.length - a.labels.length);
  return longest.labels.length > 8 ? [second.name, longest.name] : [longest.name, second.name];
}

byId("filter").oninput = render;
byId("controls").onsubmit = (event) => event.preventDefault();
byId("items").onclick = (event) => {
  const link = event.target.closest("a");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  view(shown.indexOf(Number(link.closest("[data-item]").dataset.item)));
};
byId("items").onchange = (event) => pick(Number(event.target.closest("[data-item]").dataset.item), event.target.checked);
byId("pick").onchange = () => pick(shown[open], byId("pick").checked);
byId("clear").onclick = (event) => { event.preventDefault(); [...picked.keys()].forEach((number) => pick(number, false)); };
byId("left").onchange = byId("right").onchange = compare;
byId("slider").oninput = () => { byId("over").style.clipPath = `inset(0 ${100 - byId("slider").value}% 0 0)`; };
byId("previous").onclick = () => view(open - 1);
byId("next").onclick = () => view(open + 1);
byId("close").onclick = () => byId("viewer").close();
byId("viewer").onclick = (event) => { if (event.target === byId("viewer")) byId("viewer").close(); };
byId("controls").onchange = (event) => { if (event.target.type === "radio") { redraw(); remember(); } };
byId("seeds").onchange = () => { [...picked.keys()].forEach((number) => pick(number, false)); brushes.clear(); render(); };
byId("unbrush").onclick = () => { brushes.clear(); render(); };
for (const type of ["down", "move", "up"]) {
  byId("plot")[`onpointer${type}`] = (event) => ({ scatter: scatterEvents, parallel: parallelEvents })[panel()][type](event);
}
byId("plot").onpointerleave = () => tip(-1);
byId("plot").onpointercancel = () => { lasso = drag = null; redraw(); };
new ResizeObserver(redraw).observe(byId("drawing"));
let fitting = columnCount();
new ResizeObserver(oncePerFrame(() => { if (columnCount() !== fitting) { fitting = columnCount(); render(); } })).observe(byId("grid"));
byId("picked").open = matchMedia("(min-width: 801px)").matches;
new ResizeObserver(oncePerFrame(drawFrame)).observe(byId("curves"));
document.addEventListener("keydown", (event) => {
  if (!byId("viewer").open) return;
  const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -perRow(), ArrowDown: perRow() }[event.key];
  if (by === undefined) return;
  event.preventDefault();
  view(open + by);
});
choices();
recall();
render();
if (data.running) poll();
