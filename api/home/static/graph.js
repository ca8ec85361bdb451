// Draws the asset graph: layers from left to right, with arrows that point downstream.

const SVG = "http://www.w3.org/2000/svg";
const NODE = { width: 178, height: 40, gapX: 74, gapY: 14 };

export function layout(assets) {
  const byId = new Map(assets.map((asset) => [asset.id, asset]));
  const parents = new Map(assets.map((a) => [a.id, a.upstream.filter((d) => byId.has(d) && d !== a.id)]));
  const layer = new Map();
  const depth = (id, seen = new Set()) => {
    if (layer.has(id)) return layer.get(id);
    if (seen.has(id)) return 0;
    seen.add(id);
    const found = Math.max(-1, ...parents.get(id).map((parent) => depth(parent, seen))) + 1;
    layer.set(id, found);
    return found;
  };
  assets.forEach((asset) => depth(asset.id));
  const columns = [];
  [...assets].sort((a, b) => a.id.localeCompare(b.id)).forEach(({ id }) => (columns[layer.get(id)] ??= []).push(id));
  const children = new Map(assets.map((a) => [a.id, []]));
  parents.forEach((list, id) => list.forEach((parent) => children.get(parent).push(id)));
  // Barycenter sweeps: each node moves toward the middle of its neighbors, which removes most crossings.
  for (let sweep = 0; sweep < 8; sweep++) {
    const forward = sweep % 2 === 0;
    const row = new Map(columns.flatMap((column) => column.map((id, i) => [id, i - column.length / 2])));
    const pull = (id) => {
      const near = (forward ? parents : children).get(id);
      return near.length ? near.reduce((sum, other) => sum + row.get(other), 0) / near.length : row.get(id);
    };
    columns.forEach((column) => column.sort((a, b) => pull(a) - pull(b)));
  }
  const tallest = Math.max(...columns.map((column) => column.length), 1);
  const height = tallest * (NODE.height + NODE.gapY) + NODE.gapY;
  const place = new Map();
  columns.forEach((column, x) => {
    const top = (height - column.length * (NODE.height + NODE.gapY) + NODE.gapY) / 2;
    column.forEach((id, y) => place.set(id, { x: x * (NODE.width + NODE.gapX) + 8, y: top + y * (NODE.height + NODE.gapY) }));
  });
  return { place, parents, width: columns.length * (NODE.width + NODE.gapX) - NODE.gapX + 16, height };
}

function draw(tag, attributes, parent) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  parent?.append(made);
  return made;
}

const clipped = (text) => (text.length > 21 ? `${text.slice(0, 20)}…` : text);

export function render(target, assets, onSelect) {
  const { place, parents, width, height } = layout(assets);
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": "Lineage of all assets", class: "graph" });
  svg.style.minWidth = `${Math.min(width, 900)}px`;
  const edges = draw("g", { class: "edges" }, svg);
  parents.forEach((list, id) => {
    const to = place.get(id);
    list.forEach((parent) => {
      const from = place.get(parent);
      const [x1, y1, x2, y2] = [from.x + NODE.width, from.y + NODE.height / 2, to.x, to.y + NODE.height / 2];
      const bend = Math.max(28, (x2 - x1) / 2);
      draw("path", { d: `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`, "data-from": parent, "data-to": id }, edges);
    });
  });
  for (const asset of assets) {
    const [, schema, table] = asset.id.split(".");
    const { x, y } = place.get(asset.id);
    const node = draw("g", { class: `node ${schema}`, transform: `translate(${x} ${y})`, tabindex: 0, role: "button", "data-id": asset.id }, svg);
    draw("title", {}, node).textContent = `${asset.id}: ${asset.health.toLowerCase()}, ${asset.staleness.toLowerCase()}`;
    draw("rect", { width: NODE.width, height: NODE.height, rx: 9 }, node);
    draw("circle", { cx: NODE.width - 14, cy: 14, r: 4.5, class: `health ${asset.health}` }, node);
    draw("text", { x: 14, y: 17, class: "schema" }, node).textContent = schema;
    draw("text", { x: 14, y: 32, class: "table" }, node).textContent = clipped(table);
    const select = () => onSelect(asset.id);
    node.addEventListener("click", select);
    node.addEventListener("keydown", (event) => (event.key === "Enter" || event.key === " ") && (event.preventDefault(), select()));
    node.addEventListener("pointerenter", () => trace(svg, asset.id, parents));
    node.addEventListener("pointerleave", () => svg.classList.remove("tracing"));
    node.addEventListener("focus", () => trace(svg, asset.id, parents));
    node.addEventListener("blur", () => svg.classList.remove("tracing"));
  }
  target.replaceChildren(svg);
}

// Highlights everything upstream and downstream of the asset.
function trace(svg, id, parents) {
  const related = new Set([id]);
  const up = (node) => parents.get(node).forEach((parent) => related.has(parent) || (related.add(parent), up(parent)));
  const down = (node) =>
    parents.forEach((list, child) => list.includes(node) && !below.has(child) && (below.add(child), down(child)));
  const below = new Set([id]);
  up(id);
  down(id);
  below.forEach((node) => related.add(node));
  svg.classList.add("tracing");
  svg.querySelectorAll(".node").forEach((node) => node.classList.toggle("lit", related.has(node.dataset.id)));
  svg.querySelectorAll("path").forEach((edge) =>
    edge.classList.toggle("lit", related.has(edge.dataset.from) && related.has(edge.dataset.to)));
}
