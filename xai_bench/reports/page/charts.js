/* Line charts with bands on uPlot: hover or arrow keys read values, the legend switches lines. */
const charts = (() => {
"use strict";
const make = (tag, attributes = {}, ...children) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
};
const drawn = new Set();
const colour = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const digits = value => value === null || value === undefined ? "–" : value.toPrecision(3);
const plain = value => String(Number(value.toPrecision(3)));
const tint = (hex, share) => hex + Math.round(255 * share).toString(16).padStart(2, "0");

function swatch(style) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 26 10");
  svg.setAttribute("aria-hidden", "true");
  const line = document.createElementNS("http://www.w3.org/2000/svg", "line");
  for (const [name, value] of Object.entries({x1: 0, x2: 26, y1: 5, y2: 5, stroke: style.colour, "stroke-width": 2.5, "stroke-dasharray": style.dash.join(" ")})) line.setAttribute(name, value);
  svg.append(line);
  return svg;
}

/* Lines that do not share their fractions are joined; between its points a line is straight. */
function joined(lines) {
  const fractions = [...new Set(lines.flatMap(line => line.fraction))].sort((a, b) => a - b);
  const read = (line, values) => fractions.map(share => {
    const at = line.fraction;
    if (!values || share < at[0] || share > at[at.length - 1]) return null;
    const right = Math.max(1, at.findIndex(each => each >= share));
    const part = (share - at[right - 1]) / (at[right] - at[right - 1] || 1);
    return values[right - 1] + part * (values[right] - values[right - 1]);
  });
  return [fractions, lines.flatMap(line => [read(line, line.mean), read(line, line.high), read(line, line.low)])];
}

/* {title, axis, lines: [{name, style, fraction, mean, low?, high?}], range?, hidden: Set shared by a group, onToggle} */
function chart(host, {title, axis, lines, range, hidden = new Set(), onToggle = () => {}, height = 260, level = "h4"}) {
  const [fractions, values] = joined(lines);
  const area = make("div", {class: "plot", tabindex: "0", role: "group",
    "aria-label": `${title}: chart of ${lines.length} lines. Left and right arrow keys read the values.`});
  const at = make("p", {class: "at"});
  const aloud = make("p", {class: "unseen", "aria-live": "polite"});
  const legend = make("ul", {class: "legend"});
  const entries = lines.map(line => {
    const value = make("span", {class: "value"});
    const button = make("button", {type: "button", "aria-pressed": String(!hidden.has(line.name))}, swatch(line.style),
      make("span", {class: "name"}, line.name), value);
    button.addEventListener("click", () => onToggle(line.name));
    legend.append(make("li", {}, button));
    return {button, value};
  });
  const numbers = make("details", {class: "numbers"}, make("summary", {}, "Numbers"));
  numbers.addEventListener("toggle", () => { if (numbers.open && numbers.children.length === 1) numbers.append(table()); });
  host.append(make(level, {}, title), area, at, legend, aloud, numbers);

  function table() {
    const head = make("tr", {}, ...[axis, ...lines.map(line => line.name)].map(name => make("th", {scope: "col"}, name)));
    const body = fractions.map((share, row) => make("tr", {}, make("th", {scope: "row"}, plain(share)),
      ...lines.map((line, i) => make("td", {class: "number"}, said(i, row)))));
    return make("div", {class: "scroll", tabindex: "0", role: "region", "aria-label": `Numbers of ${title}`},
      make("table", {}, make("thead", {}, head), make("tbody", {}, ...body)));
  }
  function said(i, row) {
    const [mean, high, low] = [0, 1, 2].map(part => values[3 * i + part][row]);
    return low === null || high === null ? digits(mean) : `${digits(mean)} [${digits(low)}, ${digits(high)}]`;
  }
  function read(plot) {
    const row = plot.cursor.idx;
    at.textContent = row === null || row === undefined ? "Point at the curves to read them." : `${axis} ${plain(fractions[row])}`;
    entries.forEach(({value}, i) => { value.textContent = row === null || row === undefined ? "" : said(i, row); });
  }
  function options() {
    const [ink, line] = [colour("--soft"), colour("--line")];
    const scale = {stroke: ink, grid: {stroke: line, width: 1}, ticks: {stroke: line, width: 1}, font: "12px system-ui, sans-serif"};
    const series = lines.flatMap(({name, style}) => [
      {label: name, stroke: style.colour, width: 2, dash: style.dash, points: {show: false}, spanGaps: true, show: !hidden.has(name)},
      {label: `${name} high`, stroke: "transparent", points: {show: false}, spanGaps: true, show: !hidden.has(name)},
      {label: `${name} low`, stroke: "transparent", points: {show: false}, spanGaps: true, show: !hidden.has(name)},
    ]);
    return {
      width: Math.max(200, area.clientWidth), height, legend: {show: false},
      cursor: {drag: {x: false, y: false}, points: {size: 6}, y: false},
      scales: {x: {time: false}, y: range ? {range: () => range} : {}},
      axes: [{...scale, label: axis, labelSize: 22, labelFont: "12px system-ui, sans-serif", size: 34, space: 60}, {...scale, size: 46}],
      series: [{}, ...series],
      bands: lines.map(({style}, i) => ({series: [3 * i + 2, 3 * i + 3], fill: tint(style.colour, 0.18)})),
      hooks: {setCursor: [read]},
    };
  }
  let plot = new uPlot(options(), [fractions, ...values], area);
  read(plot);
  area.addEventListener("keydown", event => {
    const step = {ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity}[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const from = plot.cursor.idx ?? (step > 0 ? -1 : fractions.length);
    const row = Math.min(fractions.length - 1, Math.max(0, from + step));
    plot.setCursor({left: plot.valToPos(fractions[row], "x"), top: 0});
    aloud.textContent = [at.textContent, ...lines.map((line, i) => hidden.has(line.name) ? "" : `${line.name} ${digits(values[3 * i][row])}`)].filter(Boolean).join(", ");
  });
  const wide = new ResizeObserver(() => { if (Math.abs(plot.width - area.clientWidth) > 1 && area.clientWidth) plot.setSize({width: area.clientWidth, height}); });
  wide.observe(area);
  const mine = {
    renew() { plot.destroy(); plot = new uPlot(options(), [fractions, ...values], area); },
    switched() {
      lines.forEach((line, i) => {
        const show = !hidden.has(line.name);
        entries[i].button.setAttribute("aria-pressed", String(show));
        for (const part of [1, 2, 3]) plot.setSeries(3 * i + part, {show});
      });
    },
    gone() { wide.disconnect(); plot.destroy(); drawn.delete(mine); },
  };
  drawn.add(mine);
  return mine;
}

/* Charts that share a scale and a legend. */
function group(host, list, hidden = new Set()) {
  const ends = list.flatMap(({lines}) => lines.flatMap(line => [...(line.low ?? line.mean), ...(line.high ?? line.mean)]));
  const [low, high] = ends.reduce(([a, b], value) => [Math.min(a, value), Math.max(b, value)], [Infinity, -Infinity]);
  const room = (high - low || 1) * 0.04, range = [low - room, high + room];
  const toggle = name => { if (!hidden.delete(name)) hidden.add(name); made.forEach(each => each.switched()); };
  const made = list.map(each => {
    const cell = make("div", {class: "chart"});
    host.append(cell);
    return chart(cell, {...each, range, hidden, onToggle: toggle});
  });
  return () => made.forEach(each => each.gone());
}
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawn.forEach(each => each.renew()));

const stored = id => { const found = document.getElementById(`data-${id}`); return found && JSON.parse(found.textContent); };
/* Work that can wait until its place comes near. */
const near = (element, work) => {
  const watch = new IntersectionObserver(entries => {
    if (!entries.some(entry => entry.isIntersecting)) return;
    watch.disconnect();
    work();
  }, {rootMargin: "400px"});
  watch.observe(element);
};

const app = document.getElementById("curves-app");
if (app) near(app, () => {
  const {groups} = stored("lines");
  const data = document.getElementById("curves-data"), metric = document.getElementById("curves-metric");
  const places = document.getElementById("curves-charts"), hidden = new Set();
  const fill = (select, names) => {
    const kept = select.value;
    select.replaceChildren(...[...new Set(names)].map(name => make("option", {}, name)));
    if (names.includes(kept)) select.value = kept;
  };
  let clear = () => {};
  function show() {
    const found = groups.find(each => each.data === data.value && each.metric === metric.value);
    clear();
    places.replaceChildren();
    document.getElementById("curves-controls").hidden = !found.controls;
    clear = group(places, found.charts.map(each => ({...each, axis: found.axis, level: "h3"})), hidden);
  }
  const metrics = () => fill(metric, groups.filter(each => each.data === data.value).map(each => each.metric));
  fill(data, groups.map(each => each.data));
  metrics();
  data.addEventListener("change", () => { metrics(); show(); });
  metric.addEventListener("change", show);
  show();
});
return {make, group, stored, near, digits};
})();
