"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
const items = [...data.items, ...data.groups]; // by number; a group of seeds is shown as an item is
const byId = (id) => document.getElementById(id);
const colours = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#999933", "#882255"];
const dashes = ["", "6 3", "2 3", "9 3 2 3"];
const storage = `jax_nst ${location.pathname}`;
const picked = new Map(); // number -> what shows it among the picks
let shown = []; // numbers of the items displayed, in order
let open = -1; // position in `shown` of the item in the viewer

/** Creates an element with properties and children. */
function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/** Creates an element of SVG with attributes and children. */
function draw(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

const spaced = (name) => name.replaceAll("_", " ");
const digits = (value, count = 4) => String(Number(value.toPrecision(count)));
const words = (labels) => Object.entries(labels).map(([name, label]) => `${name}=${label}`).join(", ");
const path = (file) => file.split("/").map(encodeURIComponent).join("/");
const thumbnail = (number) => (items[number].thumbnail ? path(items[number].thumbnail[0]) : "data:,");

function describe(number) {
  const { labels, file, seeds } = items[number];
  return [words(labels) || (seeds ? "" : file), seeds && `${seeds.length} seeds`].filter(Boolean).join(", ");
}

/** A loss or a measure as text, with its deviation over seeds. */
function said(number, name, count = 4) {
  const { losses, measures, spread } = items[number];
  const value = losses[name] ?? measures[name];
  if (value === undefined) return "";
  return digits(value, count) + (spread?.[name] === undefined ? "" : ` ± ${digits(spread[name], 2)}`);
}

/** Shows an image at full size, or its thumbnail if the file is missing. */
function load(image, file, thumb, alt) {
  image.onerror = () => { image.onerror = null; image.src = thumb; };
  image.src = file ? path(file) : thumb;
  image.alt = alt;
}

/** Runs a function once before the next frame, however often it is asked for. */
function oncePerFrame(action) {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => { asked = false; action(); });
  };
}
