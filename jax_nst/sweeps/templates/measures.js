/* Measures: a table of the items shown, in their order; a click on a head sorts the pictures, too. */

const measured = new Map([...document.querySelectorAll("[data-row]")].map((row) => [Number(row.dataset.row), row]));

/** A loss or a measure as what to sort by: the better, the smaller; what has none comes last. */
function rank(number, name) {
  const { losses, measures } = data.items[number];
  const value = losses[name] ?? measures[name];
  if (value === undefined) return Infinity;
  return { higher: -value, "near 1": Math.abs(Math.log(value)) }[data.metrics[name]?.better] ?? value;
}

/** Shows the rows of these items, and marks the best of each column. */
function tabulate(numbers, sort) {
  if (!byId("measures")) return;
  const rows = numbers.map((number) => [number, measured.get(data.items[number].item)]).filter(([, row]) => row);
  byId("measures").querySelector("tbody").replaceChildren(...rows.map(([, row]) => row));
  Object.keys(data.metrics).forEach((name, column) => {
    const best = Math.min(...rows.map(([number]) => rank(number, name)));
    for (const [number, row] of rows) row.cells[column + 1].classList.toggle("best", rank(number, name) === best);
  });
  for (const button of byId("measures").querySelectorAll("button")) {
    button.setAttribute("aria-pressed", String(button.dataset.sort === sort));
  }
}

byId("measures")?.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  byId("sort").value = byId("sort").value === button.dataset.sort ? "" : button.dataset.sort;
  render();
});
