/* A sweep that runs: a page opened from disk may not fetch a file, but it may run a script. `progress.js` calls
   `progress` for each batch, from the first one; it is run every few seconds, and is removed when the sweep ends. */

let pollSeconds = 3;
let latest = -1; // number of the last batch that is shown
let heard = false;

/** Takes in a batch, unless it is known; a call of the script. */
function progress({ run, batch, done, of, secondsLeft, at, items: added }) {
  heard = true;
  if (run !== data.running) { // the sweep was begun again, and its page is about to be written
    setTimeout(() => location.reload(), 1000 * pollSeconds);
    return;
  }
  const left = secondsLeft === null || secondsLeft === undefined ? "" : `, about ${duration(secondsLeft)} left`;
  byId("live").textContent = `running: ${done} of ${of} items${left}; last batch at ${new Date(at * 1000).toLocaleTimeString()}`;
  byId("done").max = of;
  byId("done").value = done;
  if (batch <= latest) return;
  latest = batch;
  added.forEach(admit);
  if (added.length) { choices(); render(); }
}

/** Adds an item, or replaces what an earlier run made of it. */
function admit(item) {
  const before = items.findIndex((one) => one.item === item.item && !one.outside);
  const number = before < 0 ? items.length : before;
  items[number] = item;
  if (picked.has(number)) pick(number, false);
  figures.delete(number);
  for (const [name, label] of Object.entries(item.labels)) {
    let axis = data.axes.find((one) => one.name === name);
    if (!axis) data.axes.push(axis = { name, labels: [] });
    if (!axis.labels.includes(label)) axis.labels.push(label);
  }
}

function duration(seconds) {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

function poll() {
  const script = make("script", { src: `progress.js?${Date.now()}` });
  script.onload = () => { script.remove(); setTimeout(poll, 1000 * pollSeconds); };
  script.onerror = () => {
    script.remove();
    if (heard) { ended(); } else { byId("live").textContent = "progress.js, which tells of the run, is not beside this page"; }
  };
  document.head.append(script);
}

/** Shows the complete page, but not while a picture is looked at. */
function ended() {
  byId("live").textContent = "the run has ended";
  if (!byId("viewer").open) location.reload(); else setTimeout(ended, 1000);
}

byId("running").hidden = !data.running;
