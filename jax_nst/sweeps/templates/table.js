/* Table: the losses and measures of the items shown, in their order; a click on a head sorts them. */

const mostRows = 500;

/** A loss or a measure as what to sort by: the better, the smaller; what has none comes last. */
function rank(number, name) {
  const { losses, measures } = items[number];
  const value = losses[name] ?? measures[name];
  if (value === undefined) return Infinity;
  return { higher: -value, "near 1": Math.abs(Math.log(value)) }[data.metrics[name]?.better] ?? value;
}

/** Names of the losses, then of the measures, that some item has. */
function quantities() {
  const found = new Set(items.flatMap(({ losses }) => Object.keys(losses)));
  const measured = new Set(items.flatMap(({ measures }) => Object.keys(measures)));
  return [...found, ...Object.keys(data.metrics).filter((name) => measured.has(name))];
}

const direction = (name) => {
  const better = data.metrics[name]?.better ?? "lower";
  return better === "near 1" ? better : `${better} is better`;
};

/** Shows the items as rows, and marks the best of each column. */
function tabulate(numbers, sort) {
  const names = quantities();
  const best = new Map(names.map((name) => [name, numbers.reduce((least, n) => Math.min(least, rank(n, name)), Infinity)]));
  const heads = names.map((name) => {
    const button = make("button", { type: "button", textContent: spaced(name) });
    button.dataset.sort = name;
    button.setAttribute("aria-pressed", String(name === sort));
    return make("th", { scope: "col", title: data.metrics[name]?.doc ?? "" }, button, direction(name));
  });
  const rows = numbers.slice(0, mostRows).map((number) => {
    const row = make("tr", {}, make("th", { scope: "row", textContent: describe(number) }), ...names.map((name) => {
      const at = rank(number, name);
      return make("td", { textContent: said(number, name), className: at === best.get(name) && at < Infinity ? "best" : "" });
    }));
    row.dataset.row = number;
    return row;
  });
  const left = numbers.length - rows.length;
  byId("table").replaceChildren(
    make("table", {}, make("thead", {}, make("tr", {}, make("th"), ...heads)), make("tbody", {}, ...rows)),
    ...(left > 0 ? [make("p", { textContent: `${left} more: sort or filter, or see results.csv` })] : []));
}

byId("table").onclick = (event) => {
  const button = event.target.closest("button");
  if (button) {
    byId("sort").value = byId("sort").value === button.dataset.sort ? "" : button.dataset.sort;
    render();
    return;
  }
  const row = event.target.closest("[data-row]");
  if (row) viewItem(Number(row.dataset.row));
};
