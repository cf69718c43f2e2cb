/* Filter */

const equal = (a, b) => a === b || (a !== "" && b !== "" && Number(a) === Number(b));

/** Whether every word occurs in a label; `name=label` must match exactly, or as a number. Quotes join words. */
function matcher(text) {
  const parts = (text.toLowerCase().match(/(?:[^\s"]|"[^"]*"?)+/g) ?? []).map((part) => part.replaceAll('"', ""));
  return (number) => {
    const labels = Object.entries(data.items[number].labels).map((pair) => pair.map((one) => one.toLowerCase()));
    return parts.every((part) => {
      const at = part.indexOf("=");
      const [name, label] = [part.slice(0, at), part.slice(at + 1)];
      return labels.some(([of, is]) => `${of}=${is}`.includes(part) && at < 0
        || at >= 0 && of === name && equal(is, label));
    });
  };
}

/* Arrangement */

/** The items as a wrapped list, each with the labels that no head says. */
function list(numbers, said = []) {
  for (const number of numbers) {
    const left = Object.entries(data.items[number].labels).filter(([name]) => !said.includes(name));
    figures[number].querySelector(".labels").textContent = words(Object.fromEntries(left));
  }
  shown.push(...numbers);
  return make("div", { className: "list" }, ...numbers.map((number) => figures[number]));
}

/** Label -> numbers of its items, in the order of the axis. */
function byLabel(name, numbers) {
  const groups = new Map((data.axes.find((axis) => axis.name === name)?.labels ?? []).map((label) => [label, []]));
  for (const number of numbers) groups.get(data.items[number].labels[name]).push(number);
  return [...groups].filter(([, group]) => group.length);
}

/** What says a label, with the content or style it stands for. */
function head(name, label, number) {
  const key = ["content", "style"].includes(name) && data.items[number].inputs.find((one) => one.startsWith(name));
  const src = key && sources.get(key);
  return make("div", { className: "head" }, ...(src ? [make("img", { src, alt: "" })] : []),
    src ? label : `${name} = ${label}`);
}

function table(across, down, numbers) {
  const columns = byLabel(across, numbers);
  const top = columns.map(([label, [first]]) => make("th", { scope: "col" }, head(across, label, first)));
  const rows = byLabel(down, numbers).map(([label, row]) => {
    const cells = new Map(byLabel(across, row));
    return make("tr", {}, make("th", { scope: "row" }, head(down, label, row[0])),
      ...columns.map(([column]) => make("td", {}, list(cells.get(column) ?? [], [across, down]))));
  });
  return make("table", {}, make("thead", {}, make("tr", {}, make("th"), ...top)), make("tbody", {}, ...rows));
}

function groups(name, numbers) {
  return byLabel(name, numbers).map(([label, group]) => {
    const said = head(name, label, group[0]);
    said.className = "group";
    return make("section", {}, said, list(group, [name]));
  });
}

function render() {
  const [across, down, sort] = ["across", "down", "sort"].map((id) => byId(id).value);
  const all = figures.map((_, number) => number);
  const numbers = all.filter(matcher(byId("filter").value));
  byId("count").textContent = `${numbers.length} of ${all.length}`;
  shown = [];
  const grouped = across || down;
  let arranged;
  if (sort) {
    const value = new Map(numbers.map((number) => [number, rank(number, sort)]));
    arranged = [list([...numbers].sort((a, b) => (value.get(a) < value.get(b) ? -1 : Number(value.get(a) > value.get(b)))))];
  } else if (across && down && across !== down) {
    arranged = [table(across, down, numbers)];
  } else if (grouped && data.axes.length > 1) {
    arranged = groups(grouped, numbers);
  } else {
    arranged = [list(numbers)];
  }
  byId("items").replaceChildren(...arranged);
  tabulate(shown, sort);
  remember();
}

/* Viewer */

function view(position) {
  if (position < 0 || position >= shown.length) return;
  open = position;
  const number = shown[position];
  const item = data.items[number];
  byId("caption").textContent = describe(number);
  byId("pick").checked = picked.has(number);
  byId("pick").parentElement.hidden = thumbnail(number) === "data:,";
  load(byId("full"), item.file, thumbnail(number), describe(number));
  byId("inputs").replaceChildren(...item.inputs.filter((key) => data.inputs[key]).map((key) => {
    const image = make("img");
    load(image, data.inputs[key].file, sources.get(key), key);
    return make("p", {}, image, key.split(" ")[0]);
  }));
  const { seconds, status, file } = item;
  const facts = { ...item.labels, ...item.losses, ...item.measures, seconds, status, file };
  byId("facts").replaceChildren(...Object.entries(facts).flatMap(([name, value]) =>
    [make("dt", { textContent: name }),
      make("dd", { textContent: typeof value === "number" ? String(Number(value.toPrecision(6))) : value })]));
  if (!byId("viewer").open) byId("viewer").showModal();
}

/** How many pictures stand side by side. */
function perRow() {
  const tops = shown.map((number) => figures[number].getBoundingClientRect().top);
  const next = tops.findIndex((top) => top !== tops[0]);
  return next < 0 ? shown.length : next;
}

/* What is chosen is kept in the address, to be linked to, and by the browser, to be found on another day. */

const chosen = ["across", "down", "sort", "filter"];

const remember = oncePerFrame(() => {
  const state = new URLSearchParams(chosen.map((id) => [id, byId(id).value]));
  state.set("picks", [...picked.keys()].map((number) => data.items[number].item).join(" "));
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
  const wanted = new Set((state.get("picks") ?? "").split(" ").filter(Boolean).map(Number));
  data.items.forEach((item, number) => {
    if (wanted.has(item.item) && figures[number].querySelector("input")) pick(number, true);
  });
}

function options(id, entries, value) {
  byId(id).replaceChildren(...entries.map(([value, text]) => make("option", { value, textContent: text })));
  byId(id).value = value;
  byId(id).onchange = render;
}

/** Of the two longest axes, the one that fits runs across; paired values make no grid. */
function defaults() {
  if (data.paired || data.axes.length < 2) return ["", ""];
  const [longest, second] = [...data.axes].sort((a, b) => b.labels.length - a.labels.length);
  return longest.labels.length > 8 ? [second.name, longest.name] : [longest.name, second.name];
}

const names = [["", "none"], ...data.axes.map((axis) => [axis.name, axis.name])];
const [across, down] = defaults();
options("across", names, across);
options("down", names, down);
const losses = Object.keys(data.items.find((item) => Object.keys(item.losses).length)?.losses ?? {});
const sortable = [...losses, ...Object.keys(data.metrics)];
options("sort", [["", "as the grid"], ...sortable.map((name) => [name, name.replaceAll("_", " ")])], "");
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
byId("picked").open = matchMedia("(min-width: 801px)").matches;
new ResizeObserver(oncePerFrame(drawFrame)).observe(byId("curves"));
document.addEventListener("keydown", (event) => {
  if (!byId("viewer").open) return;
  const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -perRow(), ArrowDown: perRow() }[event.key];
  if (by === undefined) return;
  event.preventDefault();
  view(open + by);
});
recall();
render();
