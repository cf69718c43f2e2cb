"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const colours = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#999933", "#882255"];
const picked = new Set(); // indices of items
let shown = []; // indices of the items displayed, in order
let open = -1; // position in `shown` of the item in the viewer

/** Creates an element with properties and children. */
function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

const describe = (item) =>
  Object.entries(item.labels).map(([name, label]) => `${name}=${label}`).join(", ") || item.file;

/** Shows an image at full size, or its thumbnail if the file is missing, as when only the page was copied. */
function load(image, item) {
  image.onerror = () => { image.onerror = null; image.src = item.thumb; };
  image.src = item.file.split("/").map(encodeURIComponent).join("/");
  image.alt = item.labels ? describe(item) : item.file;
}

/** Whether every word occurs in a label of the item; a word `name=label` must match exactly. */
function matches(item, words) {
  const labels = Object.entries(item.labels).map(([name, label]) => `${name}=${label}`.toLowerCase());
  return words.every((word) =>
    word.includes("=") ? labels.includes(word) : labels.some((label) => label.includes(word)));
}

function card(number) {
  const item = data.items[number];
  const figure = make("figure", { className: "card" });
  figure.dataset.item = number;
  if (item.thumb) {
    const image = make("img", { src: item.thumb, alt: describe(item), loading: "lazy" });
    const button = make("button", { type: "button", title: "full size" }, image);
    button.onclick = () => view(shown.indexOf(number));
    const box = make("input", { type: "checkbox", checked: picked.has(number) });
    box.onchange = () => pick(number, box.checked);
    const loss = item.losses.total_loss;
    const text = ` pick${loss === undefined ? "" : `, loss ${loss.toPrecision(4)}`}`;
    figure.append(button, make("figcaption", {}, make("label", {}, box, text)));
    if (item.status !== "ok") figure.append(make("figcaption", { textContent: item.status }));
    figure.classList.toggle("on", picked.has(number));
  } else {
    figure.append(make("div", { className: "none", textContent: item.status }));
  }
  return figure;
}

/** Creates the header of a row or column, with the content or style it names. */
function head(name, index, scope) {
  const cell = make("th", { scope });
  if (name === "") return cell;
  const axis = data.axes.find((one) => one.name === name);
  const input = data.inputs[`${name} ${index}`];
  if (input) cell.append(make("img", { className: "inputs-small", src: input.thumb, alt: "" }));
  cell.append(input ? axis.labels[index] : `${name} = ${axis.labels[index]}`);
  return cell;
}

function render() {
  const [across, down, sort] = ["across", "down", "sort"].map((id) => byId(id).value);
  const words = byId("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  let numbers = data.items.map((_, number) => number).filter((number) => matches(data.items[number], words));
  byId("count").textContent = `${numbers.length} of ${data.items.length}`;
  if (sort) {
    const value = (number) => data.items[number].losses[sort] ?? Infinity;
    numbers.sort((a, b) => value(a) - value(b));
    const list = numbers.map((number) => {
      const figure = card(number);
      figure.append(make("figcaption", { textContent: describe(data.items[number]) }));
      return figure;
    });
    shown = numbers;
    byId("grid").replaceChildren(make("div", { className: "list" }, ...list));
    return;
  }
  const labels = (name) => data.axes.find((axis) => axis.name === name)?.labels ?? [""];
  const at = (name, label) => (number) => name === "" || data.items[number].labels[name] === label;
  const used = (name) => labels(name).map((label, index) => ({ label, index }))
    .filter(({ label }) => numbers.some(at(name, label)));
  const columns = used(across);
  shown = [];
  const body = used(down).map((row) => {
    const cells = columns.map((column) => {
      const here = numbers.filter(at(down, row.label)).filter(at(across, column.label));
      shown.push(...here);
      const cards = here.map((number) => {
        const figure = card(number);
        const rest = Object.entries(data.items[number].labels)
          .filter(([name]) => name !== across && name !== down).map(([name, label]) => `${name}=${label}`);
        if (rest.length) figure.append(make("figcaption", { textContent: rest.join(", ") }));
        return figure;
      });
      return make("td", {}, ...cards);
    });
    return make("tr", {}, head(down, row.index, "row"), ...cells);
  });
  const top = make("tr", {}, make("td"), ...columns.map((column) => head(across, column.index, "col")));
  byId("grid").replaceChildren(make("table", {}, make("thead", {}, top), make("tbody", {}, ...body)));
}

function view(position) {
  if (position < 0 || position >= shown.length) return;
  const item = data.items[shown[position]];
  open = position;
  byId("caption").textContent = describe(item);
  load(byId("full"), item.file ? item : { file: "", thumb: "data:,", labels: item.labels });
  byId("inputs").replaceChildren(...item.inputs.filter((key) => data.inputs[key]).map((key) => {
    const image = make("img");
    load(image, data.inputs[key]);
    return make("p", {}, image, key.split(" ")[0]);
  }));
  const facts = { ...item.labels, ...item.losses, seconds: item.seconds, status: item.status, file: item.file };
  byId("facts").replaceChildren(...Object.entries(facts).flatMap(([name, value]) =>
    [make("dt", { textContent: name }),
      make("dd", { textContent: typeof value === "number" ? String(Number(value.toPrecision(6))) : value })]));
  if (!byId("viewer").open) byId("viewer").showModal();
}

function pick(number, on) {
  if (on) picked.add(number); else picked.delete(number);
  for (const figure of document.querySelectorAll(`.card[data-item="${number}"]`)) {
    figure.classList.toggle("on", on);
    const box = figure.querySelector("input");
    if (box) box.checked = on;
  }
  byId("picked").hidden = picked.size === 0;
  if (picked.size === 0) return;
  drawCurves();
  const numbers = [...picked];
  for (const [id, fallback] of [["left", numbers[0]], ["right", numbers[numbers.length - 1]]]) {
    const before = Number(byId(id).value || fallback);
    byId(id).replaceChildren(...numbers.map((one) =>
      make("option", { value: one, textContent: describe(data.items[one]) })));
    byId(id).value = picked.has(before) && numbers.length > 2 ? before : fallback;
  }
  compare();
}

/** Plots the loss curves of the picked items, on a logarithmic scale. */
function drawCurves() {
  const curves = [...picked].map((number) => data.items[number].curve.filter(([, loss]) => loss > 0));
  const points = curves.flat();
  const [width, height, left, bottom] = [Math.min(800, byId("curves").clientWidth || 800), 300, 50, 30];
  const last = Math.max(1, ...points.map(([step]) => step));
  const logs = points.map(([, loss]) => Math.log10(loss));
  const low = Math.floor(Math.min(...logs));
  const high = Math.max(low + 1, Math.ceil(Math.max(...logs)));
  const x = (step) => left + (step / last) * (width - left - 10);
  const y = (log) => 10 + ((high - log) / (high - low)) * (height - bottom - 10);
  const lines = [];
  for (let power = low; power <= high; power += Math.ceil((high - low) / 6)) {
    lines.push(`<line class="axis" x1="${left}" x2="${width}" y1="${y(power)}" y2="${y(power)}"/>`,
      `<text x="${left - 6}" y="${y(power) + 4}" text-anchor="end">1e${power}</text>`);
  }
  for (const step of [0, Math.round(last / 2), last]) {
    lines.push(`<text x="${x(step)}" y="${height - 8}" text-anchor="middle">${step}</text>`);
  }
  curves.forEach((curve, index) => {
    const path = curve.map(([step, loss]) => `${x(step).toFixed(1)},${y(Math.log10(loss)).toFixed(1)}`).join(" ");
    lines.push(`<polyline points="${path}" stroke="${colours[index % colours.length]}"/>`);
  });
  const keys = [...picked].map((number, index) => {
    const key = make("span", { className: "key" }, make("i"), describe(data.items[number]));
    key.firstChild.style.background = colours[index % colours.length];
    return key;
  });
  const drawing = make("div", {
    innerHTML: `<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="total loss by step">${lines.join("")}</svg>`,
  });
  byId("curves").replaceChildren(drawing, ...keys);
}

function compare() {
  byId("compare").hidden = picked.size < 2;
  if (picked.size < 2) return;
  load(byId("over"), data.items[byId("left").value]);
  load(byId("under"), data.items[byId("right").value]);
}

function options(id, entries, chosen) {
  byId(id).replaceChildren(...entries.map(([value, text]) => make("option", { value, textContent: text })));
  byId(id).value = chosen;
  byId(id).onchange = render;
}

const names = [...data.axes].sort((a, b) => b.labels.length - a.labels.length).map((axis) => axis.name);
const axes = [["", "none"], ...data.axes.map((axis) => [axis.name, axis.name])];
options("across", axes, names[0] ?? "");
options("down", axes, names[1] ?? "");
const losses = Object.keys(data.items.find((item) => Object.keys(item.losses).length)?.losses ?? {});
options("sort", [["", "as the grid"], ...losses.map((name) => [name, name.replace("_", " ")])], "");
byId("filter").oninput = render;
byId("controls").onsubmit = (event) => event.preventDefault();
byId("clear").onclick = () => { for (const number of [...picked]) pick(number, false); };
byId("left").onchange = byId("right").onchange = compare;
byId("slider").oninput = () => { byId("over").style.clipPath = `inset(0 ${100 - byId("slider").value}% 0 0)`; };
byId("previous").onclick = () => view(open - 1);
byId("next").onclick = () => view(open + 1);
byId("close").onclick = () => byId("viewer").close();
byId("viewer").onclick = (event) => { if (event.target === byId("viewer")) byId("viewer").close(); };
document.addEventListener("keydown", (event) => {
  if (!byId("viewer").open) return;
  const columns = document.querySelectorAll("#grid thead th").length || 1;
  const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[event.key];
  if (by === undefined) return;
  event.preventDefault();
  view(open + by);
});
render();
