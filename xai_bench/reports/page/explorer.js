/* The map explorer: one image, all its maps, and what the model sees as pixels go. */
(() => {
"use strict";
const app = document.getElementById("explorer-app");
if (!app) return;
const {make, group, stored, near, digits} = charts;
const element = id => document.getElementById(id);
const bytes = text => Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
const WIDTH = 224;

near(app, () => {
  const all = stored("explorer");
  const palettes = Object.fromEntries(Object.entries(all.palettes).map(([name, text]) => [name, bytes(text)]));
  const models = [...new Set(all.columns.map(column => column.model))];
  const state = {image: 0, opacity: 0.65, removed: 0, removal: 0, least: false, outlined: true, model: models.length === 2 ? "" : models[0]};
  /* Without its parameters, where that leaves it the only one of its name. */
  const brief = metric => {
    const name = metric.split("(")[0], alike = Object.keys(all.metrics).filter(each => each.split("(")[0] === name);
    return alike.length > 1 ? all.metrics[metric] : name + all.metrics[metric].slice(metric.length);
  };
  const hidden = new Set(), pictures = new Map();
  let tiles = [], listed = all.images.map((_, place) => place), clear = () => {}, turn = 0;

  /* Pictures are decoded when they are first needed. */
  async function picture(source) {
    if (!pictures.has(source)) {
      const image = new Image();
      image.src = source;
      pictures.set(source, image.decode().then(() => image));
    }
    return pictures.get(source);
  }
  const canvas = (width, height) => Object.assign(document.createElement("canvas"), {width, height});

  /* A map as levels (0 = most relevant of 256) and the relevance at each level, from 0 (lowest) to 1. */
  function opened(map) {
    const levels = bytes(map.levels), knots = bytes(map.knots), values = new Float32Array(256);
    for (let i = 0; i + 1 < all.knots.length; i++) {
      const [from, to] = [all.knots[i], all.knots[i + 1]];
      for (let level = from; level <= to; level++)
        values[level] = (knots[i] + (knots[i + 1] - knots[i]) * (level - from) / (to - from)) / 255;
    }
    return {width: map.size[0], height: map.size[1], levels, values};
  }
  function coloured({width, height, levels, values}, range, signed) {
    const made = canvas(width, height), context = made.getContext("2d"), pixels = context.createImageData(width, height);
    const reach = Math.max(Math.abs(range[0]), Math.abs(range[1])) || 1, palette = palettes[signed ? "diverging" : "viridis"];
    levels.forEach((level, i) => {
      const relevance = range[0] + (range[1] - range[0]) * values[level];
      const shade = 3 * Math.round(255 * (signed ? 0.5 + relevance / reach / 2 : values[level]));
      pixels.data.set([palette[shade], palette[shade + 1], palette[shade + 2], 255], 4 * i);
    });
    context.putImageData(pixels, 0, 0);
    return made;
  }
  /* Opaque where a pixel is gone. */
  function gone({width, height, levels}, share, least) {
    const made = canvas(width, height), context = made.getContext("2d"), pixels = context.createImageData(width, height);
    const bar = Math.round(256 * share);
    levels.forEach((level, i) => { pixels.data[4 * i + 3] = (least ? 255 - level : level) < bar ? 255 : 0; });
    context.putImageData(pixels, 0, 0);
    return made;
  }
  function outline(context, image, width, height) {
    if (!state.outlined || !image.region) return;
    const [w, h, text] = image.region, bits = bytes(text);
    const inside = (x, y) => x >= 0 && y >= 0 && x < w && y < h && (bits[(y * w + x) >> 3] >> (7 - ((y * w + x) & 7))) & 1;
    context.beginPath();
    for (let y = 0; y <= h; y++) for (let x = 0; x <= w; x++) {
      if (inside(x, y) !== inside(x - 1, y) && y < h && x > 0 && x < w) { context.moveTo(x * width / w, y * height / h); context.lineTo(x * width / w, (y + 1) * height / h); }
      if (inside(x, y) !== inside(x, y - 1) && x < w && y > 0 && y < h) { context.moveTo(x * width / w, y * height / h); context.lineTo((x + 1) * width / w, y * height / h); }
    }
    for (const [stroke, line] of [["#000", 3], ["#fff", 1.25]]) { context.strokeStyle = stroke; context.lineWidth = line; context.lineCap = "round"; context.stroke(); }
  }
  function hatched(context, width, height) {
    context.fillStyle = "#8a8a8a";
    context.fillRect(0, 0, width, height);
    context.strokeStyle = "#d8d8d8";
    context.lineWidth = 2;
    context.beginPath();
    for (let x = -height; x < width; x += 9) { context.moveTo(x, height); context.lineTo(x + height, 0); }
    context.stroke();
  }

  function draw() {
    const image = all.images[state.image];
    for (const tile of tiles) {
      const {width, height} = tile.over, over = tile.over.getContext("2d"), seen = tile.seen.getContext("2d");
      over.clearRect(0, 0, width, height);
      over.drawImage(tile.picture, 0, 0, width, height);
      if (tile.coloured) {
        over.globalAlpha = state.opacity;
        over.imageSmoothingEnabled = false;
        over.drawImage(tile.coloured, 0, 0, width, height);
        over.globalAlpha = 1;
      }
      outline(over, image, width, height);
      seen.clearRect(0, 0, width, height);
      seen.drawImage(tile.picture, 0, 0, width, height);
      if (tile.map) {
        const layer = canvas(width, height), context = layer.getContext("2d");
        if (Array.isArray(tile.hidden)) { context.fillStyle = `rgb(${tile.hidden})`; context.fillRect(0, 0, width, height); }
        else if (tile.hidden) context.drawImage(tile.hidden, 0, 0, width, height);
        else hatched(context, width, height);
        context.globalCompositeOperation = "destination-in";
        context.imageSmoothingEnabled = false;
        context.drawImage(gone(tile.map, state.removed, state.least), 0, 0, width, height);
        seen.drawImage(layer, 0, 0);
      }
      const share = Math.round(100 * state.removed), which = state.least ? "least" : "most";
      tile.seen.setAttribute("aria-label", `Image ${image.id} without the ${share} % of its pixels that are ${which} relevant to ${tile.column.explainer}`);
      tile.output.textContent = outputs(image, tile.place);
    }
  }
  /* What the model answers at this share, from the stored curves. */
  function outputs(image, place) {
    const removal = all.removals[state.removal];
    if (!removal || state.least) return "";
    const values = removal.falling.filter(metric => image.curves[place]?.[metric]).map(metric => {
      const {fractions, means} = curve(image, place, metric);
      const right = Math.max(1, fractions.findIndex(each => each >= state.removed));
      if (fractions[fractions.length - 1] < state.removed || fractions[0] > state.removed) return "";
      const part = (state.removed - fractions[right - 1]) / (fractions[right] - fractions[right - 1]);
      return `output ${digits(means[right - 1] + part * (means[right] - means[right - 1]))} (${all.metrics[metric]})`;
    });
    return values.filter(Boolean).join(", ");
  }
  function curve(image, place, metric) {
    const {fractions, low, high} = all.grids[metric], raw = bytes(image.curves[place][metric]);
    const means = fractions.map((_, i) => low + (high - low) * (raw[2 * i] + 256 * raw[2 * i + 1]) / 65535);
    return {fractions, means};
  }

  async function show() {
    const mine = ++turn, image = all.images[state.image];
    const picked = all.columns.map((column, place) => ({column, place})).filter(({column}) => !state.model || column.model === state.model);
    const source = await picture(image.source), removal = image.hidden[state.removal] ?? {};
    const found = await Promise.all(picked.map(async ({column, place}) => {
      const hide = removal[column.model] ?? removal[""] ?? null;
      return {column, place, entry: image.maps[place], picture: source, hidden: typeof hide === "string" ? await picture(hide) : hide};
    }));
    if (mine !== turn) return;
    const places = element("explorer-maps");
    places.replaceChildren();
    tiles = [];
    for (const model of models.filter(each => !state.model || each === state.model)) {
      const grid = make("div", {class: "tiles"});
      places.append(make("h3", {}, model), grid);
      for (const each of found.filter(({column}) => column.model === model)) grid.append(tile(image, each));
    }
    element("explorer-name").textContent = `${image.id} of ${image.data}`;
    element("explorer-place").textContent = `${state.image + 1} of ${all.images.length}`;
    draw();
    lines(image);
    app.classList.add("ready");
  }
  function tile(image, {column, place, entry, picture: source, hidden: hide}) {
    const height = Math.max(1, Math.round(WIDTH * image.size[1] / image.size[0]));
    const [over, seen] = [canvas(WIDTH, height), canvas(WIDTH, height)];
    const output = make("p", {class: "output"}), map = entry.levels ? opened(entry) : null;
    const name = make("h4", {}, column.explainer);
    if (["control", "ceiling", "intrinsic"].includes(column.kind)) name.append(" ", make("span", {class: "tag"}, column.kind));
    const scores = make("dl", {class: "scores"}, ...(image.scores[place] ?? []).flatMap(([metric, score]) =>
      [make("dt", {title: metric}, brief(metric)), make("dd", {}, score === `undefined: ${entry.why}` ? "undefined" : score)]));
    const said = entry.none ? `No map: ${entry.why}.` : entry.why ? `No map to be seen: ${entry.why}.` : entry.words;
    for (const each of [over, seen]) each.setAttribute("role", "img");
    over.setAttribute("aria-label", `Map of ${column.explainer}, model ${column.model}, over image ${image.id}. ${said}`);
    over.classList.add("over");
    seen.classList.add("seen");
    tiles.push({column, place, picture: source, hidden: hide, over, seen, output, map, coloured: map && coloured(map, entry.range, column.signed)});
    const shown = entry.none ? [] : [over, seen, output];
    return make("figure", {class: `tile ${column.kind}`}, name, ...shown, scores, make("figcaption", {}, said));
  }
  function lines(image) {
    clear();
    const place = element("explorer-charts"), metric = element("explorer-metric");
    place.replaceChildren();
    const metrics = Object.keys(all.grids).filter(each => Object.values(image.curves).some(found => found[each]));
    const kept = metric.value;
    metric.replaceChildren(...metrics.map(each => make("option", {value: each}, all.metrics[each])));
    if (metrics.includes(kept)) metric.value = kept;
    element("explorer-curves").hidden = !metrics.length;
    if (!metrics.length) { clear = () => {}; return; }
    const list = models.filter(each => !state.model || each === state.model).map(model => ({
      title: model, axis: all.grids[metric.value].axis, height: 220,
      lines: all.columns.map((column, i) => ({column, i})).filter(({column, i}) => column.model === model && image.curves[i]?.[metric.value])
        .map(({column, i}) => { const {fractions, means} = curve(image, i, metric.value); return {name: column.explainer, style: column.style, fraction: fractions, mean: means}; }),
    })).filter(each => each.lines.length);
    clear = group(place, list, hidden);
  }

  /* The strip of images: one stop of the Tab key, arrows within. */
  const strip = element("explorer-strip");
  const options = all.images.map((image, place) => {
    const option = make("div", {role: "option", id: `image-${place}`, "aria-selected": "false", title: `${image.id} of ${image.data}`});
    const small = make("img", {src: image.source, alt: `${image.id} of ${image.data}`, loading: "lazy", width: "64", height: "64"});
    option.append(small);
    option.addEventListener("click", () => pick(place));
    return option;
  });
  function pick(place) {
    options[state.image].setAttribute("aria-selected", "false");
    state.image = place;
    options[place].setAttribute("aria-selected", "true");
    strip.setAttribute("aria-activedescendant", `image-${place}`);
    const option = options[place];
    strip.scrollLeft = option.offsetLeft - strip.offsetLeft - (strip.clientWidth - option.offsetWidth) / 2;
    show();
  }
  function step(by) {
    const at = listed.indexOf(state.image), next = Math.min(listed.length - 1, Math.max(0, at + by));
    if (listed.length) pick(listed[next]);
  }
  strip.addEventListener("keydown", event => {
    const by = {ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1, Home: -Infinity, End: Infinity}[event.key];
    if (by === undefined) return;
    event.preventDefault();
    step(by);
  });
  element("explorer-previous").addEventListener("click", () => step(-1));
  element("explorer-next").addEventListener("click", () => step(1));
  element("explorer-search").addEventListener("input", event => {
    const words = event.target.value.toLowerCase().split(/\s+/).filter(Boolean);
    listed = all.images.flatMap((image, place) => words.every(word => `${image.id} ${image.data}`.toLowerCase().includes(word)) ? [place] : []);
    strip.replaceChildren(...listed.map(place => options[place]));
    strip.hidden = !listed.length;
    element("explorer-none").textContent = listed.length ? "" : `No image has “${event.target.value.trim()}” in its name.`;
    element("explorer-found").textContent = `${listed.length} of ${all.images.length} ${all.images.length === 1 ? "image" : "images"}`;
    if (listed.length && !listed.includes(state.image)) pick(listed[0]);
  });

  const slider = (id, name, say) => {
    const input = element(id), output = element(`${id}-value`);
    const moved = () => { state[name] = input.value / 100; output.textContent = say(input.value); draw(); };
    input.addEventListener("input", moved);
    state[name] = input.value / 100;
    output.textContent = say(input.value);
  };
  slider("explorer-opacity", "opacity", value => `${value} %`);
  slider("explorer-removed", "removed", value => `${value} %`);
  element("explorer-outline").addEventListener("change", event => { state.outlined = event.target.checked; draw(); });
  element("explorer-order").addEventListener("change", event => { state.least = event.target.value === "least"; draw(); });
  element("explorer-metric").addEventListener("change", () => lines(all.images[state.image]));
  const model = element("explorer-model");
  if (models.length > 1) model.append(make("option", {value: ""}, "all"));
  model.append(...models.map(each => make("option", {value: each}, each)));
  model.value = state.model;
  model.addEventListener("change", () => { state.model = model.value; show(); });
  const removal = element("explorer-removal");
  removal.append(...all.removals.map((each, place) => make("option", {value: place}, `${each.name} (${[...new Set(each.metrics.map(metric => metric.split("(")[0]))].slice(0, 3).join(", ")}${each.metrics.length > 3 ? " …" : ""})`)));
  const explained = () => {
    const drawn = all.images[0].hidden[state.removal] ?? {}, each = all.removals[state.removal];
    element("explorer-hatch").textContent = !each ? "No metric of this run removes pixels, so removed ones are hatched."
      : Object.values(drawn).some(Boolean) ? "" : `What ${each.name} puts in the place of removed pixels cannot be shown as pixels here, so they are hatched.`;
  };
  removal.addEventListener("change", () => { state.removal = Number(removal.value); explained(); show(); });
  explained();
  element("explorer-found").textContent = `${all.images.length} ${all.images.length === 1 ? "image" : "images"}`;
  strip.append(...options);
  pick(0);
});
})();
