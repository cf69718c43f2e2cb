/* What the plots share: scales, colours, and what can be plotted. */

/** A map from values to pixels, logarithmic if they are positive and span a factor of 30 or more. */
function scale(values, from, to, pad = 0.04) {
  const finite = values.filter(Number.isFinite);
  const low = finite.reduce((a, b) => Math.min(a, b), Infinity);
  const high = finite.reduce((a, b) => Math.max(a, b), -Infinity);
  const log = low > 0 && high / low >= 30;
  const forward = log ? Math.log10 : (value) => value;
  let [first, last] = [forward(low), forward(high)];
  const margin = (last - first || Math.abs(first) || 1) * pad;
  [first, last] = [first - margin, last + margin];
  const at = (value) => from + ((forward(value) - first) / (last - first || 1)) * (to - from);
  const ticks = log ? powers(first, last) : round(first, last);
  return Object.assign(at, { log, ticks });
}

/** Round numbers between two, about five of them. */
function round(first, last) {
  const rough = (last - first) / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((factor) => factor * power >= rough) * power;
  const ticks = [];
  for (let count = Math.ceil(first / step); count * step <= last; count += 1) ticks.push(Number((count * step).toPrecision(12)));
  return ticks;
}

/** Powers of ten between two logarithms, with 2 and 5 times them if there are few. */
function powers(first, last) {
  const factors = last - first < 3 ? [1, 2, 5] : [1];
  const every = Math.ceil((last - first) / 8);
  const ticks = [];
  for (let power = Math.floor(first); power <= last; power += every) {
    for (const factor of factors) {
      const tick = Number(`${factor}e${power}`);
      if (Math.log10(tick) >= first && Math.log10(tick) <= last) ticks.push(tick);
    }
  }
  return ticks;
}

const short = (value) => (value !== 0 && (Math.abs(value) >= 1e5 || Math.abs(value) < 1e-3)
  ? value.toExponential().replace("e+", "e") : digits(value));

/** Settings with several values, all of them numbers. */
const numeric = () => data.axes
  .filter(({ labels }) => labels.length > 1 && labels.every((label) => label !== "" && Number.isFinite(Number(label))))
  .map(({ name }) => name);

/** The value of an item that a name stands for: a loss, a measure or a number that was set. */
function value(number, name) {
  const { losses, measures, labels } = items[number];
  const found = losses[name] ?? measures[name] ?? labels[name];
  return found === undefined || found === "" ? NaN : Number(found);
}

/** A sequence of colours, from blue over green to yellow. */
function ramp(part) {
  const stops = [[68, 58, 131], [33, 145, 140], [94, 201, 98], [240, 200, 40]];
  const place = Math.min(part, 0.9999) * (stops.length - 1);
  const [low, high] = [stops[Math.floor(place)], stops[Math.floor(place) + 1]];
  return `rgb(${low.map((one, channel) => Math.round(one + (high[channel] - one) * (place % 1))).join(" ")})`;
}

/** Label -> colour: tellable ones for few names, a sequence for numbers and for many names. */
function colouring(name) {
  const axis = data.axes.find((one) => one.name === name);
  if (!axis) return new Map();
  const ordered = numeric().includes(name) ? [...axis.labels].sort((a, b) => a - b) : axis.labels;
  const few = ordered === axis.labels && ordered.length <= colours.length;
  return new Map(ordered.map((label, index) =>
    [label, few ? colours[index] : ramp(Math.round((23 * index) / Math.max(1, ordered.length - 1)) / 23)]));
}

/** Colour -> numbers of the items that have it. */
function byColour(numbers, name) {
  const colour = colouring(name);
  const groups = new Map();
  for (const number of numbers) {
    const key = colour.get(items[number].labels[name]) ?? colours[0];
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(number);
  }
  return groups;
}

/** The key of the colours, in at most twelve labels. */
function legend(name) {
  const entries = [...colouring(name)];
  const every = Math.ceil(entries.length / 12);
  const keys = entries.filter((_, index) => index % every === 0).map(([label, colour]) => {
    const dot = make("i");
    dot.style.background = colour;
    return make("span", {}, dot, label);
  });
  byId("legend").replaceChildren(...(keys.length ? [make("b", { textContent: spaced(name) }), ...keys] : []));
}

/** Where the pointer is in the plot, in pixels. */
function pointer(event) {
  const box = byId("plot").getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
}

/** Shows the picture of an item beside the pointer; none for -1. */
function tip(number, event) {
  const box = byId("tip");
  box.hidden = number < 0;
  if (number < 0) return;
  if (box.dataset.item !== String(number)) {
    const lines = plotted().map((name) => make("div", { textContent: `${spaced(name)} ${said(number, name) || items[number].labels[name] || "none"}` }));
    box.replaceChildren(...(items[number].thumbnail ? [picture(items[number].thumbnail)] : []),
      make("div", {}, make("b", { textContent: describe(number) }), ...lines));
    box.dataset.item = number;
  }
  const left = event.clientX + 16 + box.offsetWidth > innerWidth ? event.clientX - 16 - box.offsetWidth : event.clientX + 16;
  box.style.left = `${Math.max(0, left)}px`;
  box.style.top = `${Math.max(0, Math.min(event.clientY + 12, innerHeight - box.offsetHeight - 4))}px`;
}

const plotted = () => (panel() === "scatter" ? [byId("x").value, byId("y").value] : ["total_loss"]);

/** A segment of no length at each place; its round caps make a dot, and all dots of a colour one element. */
const dots = (places) => places.map(([x, y]) => `M${x.toFixed(1)} ${y.toFixed(1)}h0`).join("");
