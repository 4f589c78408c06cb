/* Tables that sort, filter and turn pages. Every table of class "sortable" works without this script, too. */
(() => {
"use strict";
const PAGE = 50;
const make = (tag, attributes = {}, ...children) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
};
const number = text => /^[-+−]?(\d|\.\d)/.test(text) ? parseFloat(text.replace("−", "-")) : NaN;
const order = (x, y) => {
  if (x === "" || y === "") return 0;
  const [a, b] = [number(x), number(y)];
  if (isNaN(a) !== isNaN(b)) return isNaN(a) ? 1 : -1;
  return isNaN(a) ? x.localeCompare(y, "en", {numeric: true}) : a - b;
};

function enhance(table, place) {
  const body = table.tBodies[0], head = table.tHead?.rows[table.tHead.rows.length - 1];
  if (!body || !head) return;
  const cells = [...head.cells];
  const names = cells.map(cell => (cell.firstChild?.textContent ?? "").trim().toLowerCase());
  const rows = [...body.rows].map(row => ({
    row,
    texts: [...row.cells].map(cell => cell.textContent.trim().toLowerCase()),
    keys: [...row.cells].map(cell => cell.dataset.sort ?? cell.textContent.trim()),
  }));
  let shown = rows, first = 0;
  const said = make("span", {class: "count", role: "status", "aria-live": "polite"});
  const previous = make("button", {type: "button"}, "Previous");
  const next = make("button", {type: "button"}, "Next");
  const pager = make("span", {class: "pager"}, previous, next);
  const bar = make("div", {class: "bar"});
  if (rows.length > 5) {
    const field = make("input", {type: "search", id: `filter-${place}`, autocomplete: "off", spellcheck: "false",
      placeholder: "words, or column:word"});
    const label = make("label", {for: field.id}, "Show rows with");
    field.addEventListener("input", () => { keep(field.value); });
    bar.append(label, field);
  }
  bar.append(said, pager);
  if (rows.length > 5) (table.closest(".scroll") ?? table).before(bar);

  const wanted = word => {
    const [name, ...rest] = word.split(":");
    const column = rest.length ? names.findIndex(each => each.startsWith(name)) : -1;
    return column < 0 ? ({texts}) => texts.some(text => text.includes(word))
                      : ({texts}) => (texts[column] ?? "").includes(rest.join(":"));
  };
  function keep(words) {
    const tests = words.toLowerCase().split(/\s+/).filter(Boolean).map(wanted);
    shown = rows.filter(row => tests.every(test => test(row)));
    first = 0;
    draw();
  }
  function draw() {
    const page = shown.slice(first, first + PAGE);
    body.replaceChildren(...page.map(({row}) => row));
    const range = shown.length > PAGE ? `rows ${first + 1} to ${first + page.length} of ${shown.length}` : `${shown.length} ${shown.length === 1 ? "row" : "rows"}`;
    said.textContent = shown.length < rows.length ? `${range}, ${rows.length} in all` : range;
    pager.hidden = shown.length <= PAGE;
    previous.disabled = first === 0;
    next.disabled = first + PAGE >= shown.length;
  }
  previous.addEventListener("click", () => { first = Math.max(0, first - PAGE); draw(); });
  next.addEventListener("click", () => { first += PAGE; draw(); });

  cells.forEach((cell, column) => {
    const button = make("button", {type: "button"});
    const notes = [...cell.querySelectorAll("sup")];
    notes.forEach(note => note.remove());
    button.append(...cell.childNodes);
    cell.replaceChildren(button, ...notes);
    button.addEventListener("click", () => {
      const up = cell.getAttribute("aria-sort") !== "ascending";
      cells.forEach(other => other.removeAttribute("aria-sort"));
      cell.setAttribute("aria-sort", up ? "ascending" : "descending");
      const by = (a, b) => {
        const [x, y] = [a.keys[column] ?? "", b.keys[column] ?? ""];
        if (x === "" || y === "") return (x === "") - (y === "");
        return up ? order(x, y) : order(y, x);
      };
      rows.sort(by);
      shown = shown.slice().sort(by);
      first = 0;
      draw();
    });
  });
  addEventListener("beforeprint", () => body.replaceChildren(...shown.slice(0, 1000).map(({row}) => row)));
  addEventListener("afterprint", draw);
  draw();
}
document.querySelectorAll("table.sortable").forEach(enhance);
/* A link into a closed part opens it. */
const open = () => {
  const wanted = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (let each = wanted; each; each = each.parentElement) if (each.tagName === "DETAILS") each.open = true;
  const inside = wanted && wanted.parentElement.querySelector(":scope > details");
  if (inside && wanted.tagName === "H2") inside.open = true;
};
addEventListener("hashchange", open);
open();
})();
