/* Export of the picks: a table as a file, and their settings as flags of the command. */

const cell = (text) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

/** The picks as CSV: file, settings, losses and measures; for groups of seeds means. */
function csv(numbers) {
  const settings = data.axes.map(({ name }) => name);
  const names = quantities();
  const rows = numbers.map((number) => {
    const { file, labels, losses, measures } = items[number];
    return [file, ...settings.map((name) => labels[name] ?? ""), ...names.map((name) => losses[name] ?? measures[name] ?? "")];
  });
  return [["file", ...settings, ...names], ...rows].map((row) => row.map((one) => cell(String(one))).join(",")).join("\n") + "\n";
}

const quoted = (text) => (/^[\w.,:/=+-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

/** A line of flags for each pick: what makes its picture beside the settings that all items share. */
function flags(numbers) {
  return numbers.map((number) => {
    const { labels, inputs } = items[number];
    const files = inputs.map((key) => data.inputs[key] && [key.split(" ")[0], data.inputs[key].file]).filter(Boolean);
    const set = Object.entries(labels).filter(([name]) => !["content", "style"].includes(name));
    return [...files, ...set].map(([name, text]) => `--${name} ${quoted(text)}`).join(" ");
  }).join("\n");
}

byId("save").onclick = (event) => {
  event.preventDefault();
  const link = make("a", { download: "picks.csv", href: URL.createObjectURL(new Blob([csv([...picked.keys()])], { type: "text/csv" })) });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
};

byId("copy").onclick = async (event) => {
  event.preventDefault();
  const text = flags([...picked.keys()]);
  byId("flags").hidden = false;
  byId("flags").value = text;
  byId("flags").select();
  try { await navigator.clipboard.writeText(text); } catch { document.execCommand("copy"); }
};
