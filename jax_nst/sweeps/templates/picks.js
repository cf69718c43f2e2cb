/* Picks: each keeps its curve, its key and its thumbnail, so that another pick redraws none of them. */

const lines = draw("g");
const frame = draw("g");
const plot = draw("svg", { role: "img", "aria-label": "total loss by step" }, frame, lines);
const keys = make("div", { className: "keys" });
byId("curves").append(plot, keys);

function pick(number, on) {
  if (on === picked.has(number) || on && !items[number].thumbnail) return;
  if (on) {
    const used = new Set([...picked.values()].map((one) => one.slot));
    const slot = Array.from({ length: used.size + 1 }, (_, index) => index).find((index) => !used.has(index));
    picked.set(number, show(number, slot));
  } else {
    const { curve, key, small } = picked.get(number);
    [curve, key, small].forEach((element) => element.remove());
    picked.delete(number);
  }
  mark(number);
  update();
}

/** Shows on the card of an item, if it has been made, whether it is picked. */
function mark(number) {
  const box = figures.get(number)?.querySelector("input");
  if (!box) return;
  figures.get(number).classList.toggle("on", picked.has(number));
  box.checked = picked.has(number);
}

function show(number, slot) {
  const stroke = {
    stroke: colours[slot % colours.length],
    "stroke-dasharray": dashes[Math.floor(slot / colours.length) % dashes.length],
  };
  const points = items[number].curve.filter(([, loss]) => loss > 0)
    .map(([step, loss]) => [step, Math.log10(loss)]);
  const curve = draw("polyline", { ...stroke, points: points.map(([x, y]) => `${x},${-y}`).join(" ") });
  const line = draw("line", { ...stroke, x1: 0, x2: 29, y1: 6, y2: 6 });
  const key = make("div", { className: "key" }, draw("svg", { viewBox: "0 0 29 12" }, line), describe(number));
  const small = make("img", { src: thumbnail(number), alt: describe(number), title: describe(number) });
  small.onclick = (event) => { event.preventDefault(); viewItem(number); };
  lines.append(curve);
  keys.append(key);
  byId("strip").append(small);
  return { curve, key, small, slot, points };
}

/** Describes items by the labels that differ among them. */
function briefly(numbers) {
  const differing = data.axes.map((axis) => axis.name)
    .filter((name) => new Set(numbers.map((number) => items[number].labels[name])).size > 1);
  const of = ({ labels }) => differing.map((name) => `${name}=${labels[name]}`).join(", ");
  return (number) => of(items[number]) || describe(number);
}

const update = oncePerFrame(() => {
  const numbers = [...picked.keys()];
  byId("number").textContent = `${numbers.length} picked`;
  byId("picked").hidden = numbers.length === 0;
  const brief = briefly(numbers);
  for (const [number, { key }] of picked) key.lastChild.textContent = brief(number);
  for (const [id, fallback] of [["left", numbers[0]], ["right", numbers[numbers.length - 1]]]) {
    const before = Number(byId(id).value || fallback);
    byId(id).replaceChildren(...numbers.map((one) => make("option", { value: one, textContent: brief(one) })));
    byId(id).value = picked.has(before) && numbers.length > 2 ? before : fallback;
  }
  compare();
  drawFrame();
  redraw();
  remember();
});

/** Draws the axes, logarithmic in the loss, and scales all curves to them. */
function drawFrame() {
  if (picked.size === 0) return;
  const points = [...picked.values()].flatMap((one) => one.points);
  const [width, height, left, top, bottom] = [Math.max(200, byId("curves").clientWidth), 220, 46, 10, 26];
  const last = points.reduce((most, [step]) => Math.max(most, step), 1);
  const low = Math.floor(points.reduce((least, [, log]) => Math.min(least, log), Infinity));
  const high = Math.max(low + 1, Math.ceil(points.reduce((most, [, log]) => Math.max(most, log), -Infinity)));
  plot.setAttribute("viewBox", `0 0 ${width} ${height}`);
  if (!Number.isFinite(low)) { frame.replaceChildren(); return; }
  const [scaleX, scaleY] = [(width - left - 10) / last, (height - top - bottom) / (high - low)];
  const y = (log) => top + (high - log) * scaleY;
  const parts = [];
  for (let power = low; power <= high; power += Math.ceil((high - low) / 6)) {
    parts.push(draw("line", { class: "axis", x1: left, x2: width, y1: y(power), y2: y(power) }),
      draw("text", { x: left - 6, y: y(power) + 4, "text-anchor": "end" }, `1e${power}`));
  }
  for (const step of new Set([0, Math.round(last / 2), last])) {
    parts.push(draw("text", { x: left + step * scaleX, y: height - 6, "text-anchor": "middle" }, String(step)));
  }
  frame.replaceChildren(...parts);
  lines.setAttribute("transform", `translate(${left} ${top + high * scaleY}) scale(${scaleX} ${scaleY})`);
}

function compare() {
  byId("compare").hidden = picked.size < 2;
  if (picked.size < 2) return;
  for (const [id, side] of [["over", "left"], ["under", "right"]]) {
    const number = Number(byId(side).value);
    load(byId(id), items[number].file, thumbnail(number), describe(number));
  }
}

function viewItem(number) {
  if (!shown.includes(number)) { byId("filter").value = ""; brushes.clear(); render(); }
  view(shown.indexOf(number));
}
