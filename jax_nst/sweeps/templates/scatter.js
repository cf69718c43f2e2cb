/* Scatter: each item by two of its losses, measures and settings. A click opens it, a drag picks what it encloses. */

let places = new Map(); // number -> its place in the plot
let lasso = null; // places that a drag went through

/** What can be on an axis of the plot. */
const plottable = () => [...quantities(), ...numeric()];

/** The items that no other one beats in one quantity without being worse in the other, by the first. */
function front(numbers, x, y) {
  const ranked = numbers.map((number) => [rank(number, x), rank(number, y), number])
    .filter(([a, b]) => a < Infinity && b < Infinity)
    .sort((one, two) => one[0] - two[0] || one[1] - two[1]);
  let least = Infinity;
  let at = NaN;
  return ranked.filter(([a, b]) => {
    if (b > least || (b === least && a !== at)) return false;
    [least, at] = [b, a];
    return true;
  }).map(([, , number]) => number);
}

const directed = (name) => quantities().includes(name);

function drawScatter() {
  const [x, y, colour] = ["x", "y", "colour"].map((id) => byId(id).value);
  const plot = byId("plot");
  plot.style.width = "";
  const [width, height] = [plot.clientWidth, plot.clientHeight];
  const [left, right, top, bottom] = [70, width - 16, 12, height - 44];
  const numbers = visible().filter((number) => Number.isFinite(value(number, x)) && Number.isFinite(value(number, y)));
  plot.setAttribute("viewBox", `0 0 ${width} ${height}`);
  legend(colour);
  if (!numbers.length) {
    places = new Map();
    plot.replaceChildren(draw("text", { x: width / 2, y: height / 2, "text-anchor": "middle" }, "nothing to plot yet"));
    return;
  }
  const spread = (number, name, sign) => value(number, name) + sign * (items[number].spread?.[name] ?? 0);
  const reach = (name) => numbers.flatMap((number) => [spread(number, name, -1), spread(number, name, 1)]);
  const [atX, atY] = [scale(reach(x), left, right), scale(reach(y), bottom, top)];
  places = new Map(numbers.map((number) => [number, [atX(value(number, x)), atY(value(number, y))]]));
  const bars = numbers.filter((number) => items[number].spread).map((number) => {
    const [px, py] = places.get(number);
    return `M${atX(spread(number, x, -1))} ${py}H${atX(spread(number, x, 1))}M${px} ${atY(spread(number, y, -1))}V${atY(spread(number, y, 1))}`;
  });
  const of = (wanted) => numbers.filter(wanted).map((number) => places.get(number));
  const faded = (number) => items[number].outside;
  plot.replaceChildren(
    ...axisX(atX, x, top, bottom, left, right), ...axisY(atY, y, top, bottom, left, right),
    ...(directed(x) && directed(y) && x !== y ? drawFront(numbers.filter((number) => !faded(number)), x, y) : []),
    draw("path", { class: "bars", d: bars.join("") }),
    draw("path", { class: "dots outside", d: dots(of(faded)) }),
    ...[...byColour(numbers.filter((number) => !faded(number)), colour)].map(([stroke, group]) =>
      draw("path", { class: "dots", stroke, d: dots(group.map((number) => places.get(number))) })),
    ...of((number) => picked.has(number)).map(([cx, cy]) => draw("circle", { class: "ring", cx, cy, r: 7 })),
    draw("path", { id: "lasso" }));
}

/** A ring round each item of the front, and steps between them where both quantities go one way. */
function drawFront(numbers, x, y) {
  const best = front(numbers, x, y);
  const at = best.map((number) => places.get(number));
  const monotone = [x, y].every((name) => data.metrics[name]?.better !== "near 1");
  // What is as good as two neighbours in turn is their corner on the worse side.
  const steps = at.map(([px, py], index) => (index ? `H${px}V${py}` : `M${px} ${py}`)).join("");
  const line = draw("path", { class: "front", d: monotone ? steps : "" });
  line.dataset.items = best.join(" ");
  return [line, ...at.map(([cx, cy]) => draw("circle", { class: "best", cx, cy, r: 5.5 }))];
}

function axisX(at, name, top, bottom, left, right) {
  return [
    ...at.ticks.flatMap((tick) => [
      draw("line", { class: "axis", x1: at(tick), x2: at(tick), y1: top, y2: bottom }),
      draw("text", { x: at(tick), y: bottom + 16, "text-anchor": "middle" }, short(tick))]),
    draw("text", { class: "title", x: (left + right) / 2, y: bottom + 36, "text-anchor": "middle" }, title(name, at)),
  ];
}

function axisY(at, name, top, bottom, left, right) {
  const middle = (top + bottom) / 2;
  return [
    ...at.ticks.flatMap((tick) => [
      draw("line", { class: "axis", x1: left, x2: right, y1: at(tick), y2: at(tick) }),
      draw("text", { x: left - 6, y: at(tick) + 4, "text-anchor": "end" }, short(tick))]),
    draw("text", { class: "title", x: 14, y: middle, "text-anchor": "middle", transform: `rotate(-90 14 ${middle})` }, title(name, at)),
  ];
}

const title = (name, at) => [spaced(name), ...(directed(name) ? [direction(name)] : []), ...(at.log ? ["log"] : [])].join(", ");

/** The item nearest to a place, at most 14 pixels away; or -1. */
function nearest([x, y]) {
  let [best, least] = [-1, 14];
  for (const [number, [px, py]] of places) {
    const distance = Math.hypot(px - x, py - y);
    if (distance < least) [best, least] = [number, distance];
  }
  return best;
}

/** Whether a polygon encloses a place: a ray from it crosses the sides an odd number of times. */
function encloses(polygon, [x, y]) {
  return polygon.reduce((inside, [ax, ay], index) => {
    const [bx, by] = polygon[(index + 1) % polygon.length];
    return (ay > y) !== (by > y) && x < ax + ((y - ay) * (bx - ax)) / (by - ay) ? !inside : inside;
  }, false);
}

const scatterEvents = {
  down: (event) => { lasso = [pointer(event)]; byId("plot").setPointerCapture(event.pointerId); },
  move: (event) => {
    const at = pointer(event);
    if (!lasso) { tip(nearest(at), event); return; }
    lasso.push(at);
    tip(-1);
    byId("lasso")?.setAttribute("d", `M${lasso.map((place) => place.join(" ")).join("L")}Z`);
  },
  up: (event) => {
    const drawn = lasso ?? [];
    lasso = null;
    byId("lasso")?.setAttribute("d", "");
    const [[x, y] = [0, 0]] = drawn;
    if (drawn.some(([px, py]) => Math.hypot(px - x, py - y) > 5)) {
      for (const [number, place] of places) if (encloses(drawn, place)) pick(number, true);
    } else if (nearest(pointer(event)) >= 0) {
      viewItem(nearest(pointer(event)));
    }
  },
};
