/* Parallel coordinates: a line for each item through its settings, its total loss and its measures. A drag along
   an axis shows only the items that pass there, in the plot and among the pictures; a click on it ends that. */

const brushes = new Map(); // name -> the lowest and the highest part of its axis, from 0 at the bottom to 1
let drag = null; // name and first part of the brush at work

/** What has an axis: settings with several values, the total loss, and measures. */
function dimensions() {
  const several = data.axes.filter(({ labels }) => labels.length > 1).map(({ name }) => name);
  const losses = quantities().filter((name) => !data.metrics[name]);
  return [...several, ...losses.slice(0, 1), ...quantities().filter((name) => data.metrics[name])]
    .filter((name) => all().some((number) => name in items[number].labels || Number.isFinite(value(number, name))));
}

/** Where each item stands on an axis, in parts from 0 at the bottom to 1; NaN for what has no value. */
function partOf(name) {
  const axis = data.axes.find((one) => one.name === name);
  if (axis && !numeric().includes(name)) {
    const at = new Map(axis.labels.map((label, index) => [label, (index + 0.5) / axis.labels.length]));
    const ticks = axis.labels.map((label) => [at.get(label), label]);
    return Object.assign((number) => at.get(items[number].labels[name]) ?? NaN, { ticks: thin(ticks, 12) });
  }
  const at = scale(all().map((number) => value(number, name)), 0, 1);
  const ticks = axis && axis.labels.length <= 8 ? axis.labels.map(Number) : at.ticks;
  return Object.assign((number) => at(value(number, name)), { ticks: ticks.map((tick) => [at(tick), short(tick)]) });
}

const thin = (list, most) => list.filter((_, index) => index % Math.ceil(list.length / most) === 0);

/** Whether an item passes all brushes. */
function brushed() {
  const parts = [...brushes].map(([name, [low, high]]) => [partOf(name), low, high]);
  return (number) => parts.every(([part, low, high]) => part(number) >= low && part(number) <= high);
}

let columns = []; // the axes as drawn: name, x, and where an item stands

function drawParallel() {
  const plot = byId("plot");
  const names = dimensions();
  plot.style.width = `${Math.max(plot.parentElement.clientWidth, 118 * names.length)}px`;
  const [width, height] = [plot.clientWidth, plot.clientHeight];
  plot.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const [left, top, bottom] = [96, 54, height - 14];
  const step = (width - left - 70) / Math.max(1, names.length - 1);
  columns = names.map((name, index) => ({ name, x: left + index * step, part: partOf(name), top, bottom }));
  const y = (part) => bottom + part * (top - bottom);
  const through = (number) => {
    const known = columns.map(({ x, part }) => [x, y(part(number))]).filter(([, at]) => Number.isFinite(at));
    return known.map(([x, at], index) => `${index ? "L" : "M"}${x.toFixed(1)} ${at.toFixed(1)}`).join("");
  };
  const colour = byId("colour").value;
  const passes = brushed();
  const matches = matcher(byId("filter").value);
  const [inside, rest] = [[], []];
  for (const number of all()) (matches(number) && passes(number) ? inside : rest).push(number);
  legend(colour);
  const line = (numbers, attributes) => draw("path", { d: numbers.map(through).join(""), ...attributes });
  plot.replaceChildren(
    line(rest, { class: "lines rest" }),
    ...[...byColour(inside, colour)].map(([stroke, group]) => line(group, { class: "lines", stroke })),
    line(inside.filter((number) => picked.has(number)), { class: "lines on" }),
    ...columns.flatMap((column) => drawColumn(column, y)));
}

function drawColumn({ name, x, part, top, bottom }, y) {
  const [low, high] = brushes.get(name) ?? [0, 0];
  return [
    draw("line", { class: "column", x1: x, x2: x, y1: top, y2: bottom }),
    ...part.ticks.map(([at, text]) => draw("text", { class: "halo", x: x - 5, y: y(at) + 4, "text-anchor": "end" }, text.length > 13 ? `${text.slice(0, 6)}…${text.slice(-6)}` : text)),
    ...halves(spaced(name)).map((text, row) => draw("text", { class: "title", x, y: 12 + 14 * row, "text-anchor": "middle" }, text)),
    draw("text", { class: "better", x, y: 41, "text-anchor": "middle" }, directed(name) ? direction(name) : "set"),
    ...(high > low ? [draw("rect", { class: "brush", x: x - 8, width: 16, y: y(high), height: y(low) - y(high) })] : []),
  ];
}

/** A name in two lines, of which the second may be empty. */
function halves(name) {
  if (name.length < 15) return ["", name];
  const space = name.indexOf(" ", name.length / 2 - 4);
  return space < 0 ? ["", name] : [name.slice(0, space), name.slice(space + 1)];
}

/** The axis nearest to a place, and the part of it there. */
function columnAt([x, y]) {
  const [column] = [...columns].sort((a, b) => Math.abs(a.x - x) - Math.abs(b.x - x));
  if (!column || Math.abs(column.x - x) > 24) return null;
  const part = (column.bottom - y) / (column.bottom - column.top);
  return [column.name, Math.min(1, Math.max(0, part))];
}

const parallelEvents = {
  down: (event) => { drag = columnAt(pointer(event)); byId("plot").setPointerCapture(event.pointerId); },
  move: (event) => {
    byId("plot").classList.toggle("grab", drag !== null || columnAt(pointer(event)) !== null);
    if (!drag) return;
    const [name, first] = drag;
    const { top, bottom } = columns.find((column) => column.name === name);
    const part = Math.min(1, Math.max(0, (bottom - pointer(event)[1]) / (bottom - top)));
    brushes.set(name, [Math.min(first, part), Math.max(first, part)]);
    redraw();
  },
  up: () => {
    if (!drag) return;
    const [low, high] = brushes.get(drag[0]) ?? [0, 0];
    if (high - low < 0.01) brushes.delete(drag[0]);
    drag = null;
    render();
  },
};
