/* Cards: one for each item, made when it is first shown. The browser loads a picture as it comes into view. */

const figures = new Map(); // number -> its card

function card(number) {
  if (!figures.has(number)) {
    figures.set(number, makeCard(number));
    mark(number);
  }
  return figures.get(number);
}

function makeCard(number) {
  const { file, status, losses, outside, seeds } = items[number];
  const alt = describe(number);
  const figure = make("figure", { className: "card" });
  figure.dataset.item = number;
  figure.classList.toggle("outside", outside);
  const small = items[number].thumbnail;
  if (small) {
    const link = make("a", { href: path(file) }, picture(small, alt));
    figure.append(link);
  } else {
    const why = ["", "ok"].includes(status) ? `${file} is missing or damaged` : status;
    figure.append(make("div", { className: "none", textContent: why }));
  }
  figure.append(make("figcaption", { className: "labels", textContent: alt }));
  const label = make("label");
  if (small) label.append(make("input", { type: "checkbox", ariaLabel: "pick" }));
  if ("total_loss" in losses) label.append(` loss ${said(number, "total_loss")}`);
  figure.append(make("figcaption", {}, label));
  if (small && status !== "ok") figure.append(make("figcaption", { textContent: status }));
  if (seeds) figure.append(make("figcaption", { className: "seeds" }, ...spreadOf(number)));
  return figure;
}

/** A thumbnail whose place is kept until it is loaded. */
function picture([file, width, height], alt = "") {
  const image = make("img", { loading: "lazy", decoding: "async", width, height, alt });
  image.style.aspectRatio = `${width} / ${height}`;
  image.src = path(file);
  return image;
}

/** How much the pictures of a group differ: the map, and a number. */
function spreadOf(number) {
  const { deviation, seeds } = items[number];
  if (!deviation) return [`seed ${seeds[0]}`];
  const [map, rms] = deviation;
  return [picture(map, "deviation over seeds"), `${seeds.length} seeds, deviation ${digits(rms, 2)}`];
}
