// Draws the figures of a live view. All texts come ready from the kernel; nothing is loaded.

const POINTS = 60;
const SVG = "http://www.w3.org/2000/svg";

/** Return an element with properties and children; texts are never read as HTML. */
function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  Object.assign(element, properties);
  element.append(...children);
  return element;
}

function shape(tag, attributes) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

function tiles(figures) {
  return figures.tiles.map(([name, value]) =>
    make("div", { className: `tile ${name.startsWith("saved") ? "saved" : ""}` },
      make("b", { textContent: value }), make("span", { textContent: name })));
}

/** Return a bar for each interval: calls that were answered stand on those that ran. */
function chart(trend) {
  const most = Math.max(1e-9, ...trend.map(([answered, ran]) => answered + ran));
  const svg = shape("svg", { viewBox: `0 0 ${POINTS * 4} 40`, preserveAspectRatio: "none" });
  trend.forEach(([answered, ran], at) => {
    const x = (POINTS - trend.length + at) * 4;
    const low = (38 * ran) / most, high = (38 * answered) / most;
    svg.append(shape("rect", { x, y: 40 - low, width: 3, height: low, class: "ran" }));
    svg.append(shape("rect", { x, y: 40 - low - high, width: 3, height: high, class: "answered" }));
  });
  const [answered, ran] = trend.at(-1) ?? [0, 0];
  const now = Number((answered + ran).toPrecision(3)).toLocaleString("en");
  svg.append(shape("path", { d: `M0 39.5H${POINTS * 4}`, class: "axis" }));
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `calls a second: ${now} now`);
  return [svg, make("div", { className: "legend" },
    make("span", { className: "answered", textContent: "answered" }),
    make("span", { className: "ran", textContent: "ran" }),
    make("span", { textContent: `${now} calls/s` }))];
}

function toolRow(tool, titles) {
  const outcomes = tool.outcomes.map(([name, count]) => `${count.toLocaleString("en")} ${name}`);
  const name = make("th", { scope: "row", title: outcomes.join(", ") });
  // Long names may be broken behind their dots and underscores.
  tool.name.split(/(?<=[._])/).forEach((part) => name.append(part, make("wbr")));
  const cells = tool.cells.map((text, at) => {
    const cell = make("td", { className: titles[at].startsWith("saved") ? "saved" : "" });
    if (titles[at] === "hit rate" && tool.rate !== null) {
      const bar = make("i", { className: "bar" }, make("i"));
      bar.firstChild.style.width = `${100 * tool.rate}%`;
      cell.append(bar);
    }
    cell.append(text);
    return cell;
  });
  return make("tr", {}, name, ...cells);
}

function table(figures) {
  const heads = ["tool", ...figures.titles].map((text) =>
    make("th", { scope: "col", textContent: text }));
  const rows = figures.tools.map((tool) => toolRow(tool, figures.titles));
  if (figures.more) {
    const text = `... and ${figures.more.toLocaleString("en")} more`;
    rows.push(make("tr", {}, make("th", { colSpan: heads.length, textContent: text })));
  }
  return make("table", { className: "toolops-table" },
    make("thead", {}, make("tr", {}, ...heads)), make("tbody", {}, ...rows));
}

function draw(root, figures) {
  const parts = [
    make("div", { className: "head" },
      make("div", { className: "name", textContent: figures.namespace }),
      ...tiles(figures), make("div", { className: "chart" }, ...chart(figures.trend))),
  ];
  if (figures.breakers.length) {
    const text = `Breakers: ${figures.breakers.join(", ")}`;
    parts.push(make("div", { className: "breakers", textContent: text }));
  }
  parts.push(figures.tools.length ? table(figures)
    : make("div", { className: "faint", textContent: "No calls yet." }));
  root.replaceChildren(...parts);
}

export default {
  // While a cell runs, figures come as messages: the kernel's state is set when it ends.
  initialize({ model }) {
    model.on("msg:custom", (message) => {
      if (message.figures) model.set("figures", message.figures);
    });
  },

  render({ model, el }) {
    const root = make("div", { className: "toolops-live" });
    const update = () => draw(root, model.get("figures"));
    model.on("change:figures", update);
    update();
    el.append(root);
    return () => model.off("change:figures", update);
  },
};
