// Positions of a large graph: inputs on the left of what reads them, in one pass over the edges.

export interface Position {
  x: number;
  y: number;
}

/** Width to height of the whole. */
const ASPECT = 1.8;
const SWEEPS = 3;

/** The number of the layer of each node: one more than that of its farthest input. A cycle ends where it is found. */
export function depths(ids: string[], edges: [string, string][]): Map<string, number> {
  const inputs = new Map<string, string[]>(ids.map((id) => [id, []]));
  for (const [source, target] of edges) inputs.get(target)?.push(source);
  const found = new Map<string, number>();
  const entered = new Set<string>();
  for (const start of ids) {
    const stack = [start];
    while (stack.length) {
      const id = stack.at(-1) as string;
      if (found.has(id)) {
        stack.pop();
        continue;
      }
      const waiting = entered.has(id) ? [] : (inputs.get(id) ?? []).filter((one) => !found.has(one) && !entered.has(one) && inputs.has(one));
      entered.add(id);
      if (waiting.length) stack.push(...waiting);
      else {
        found.set(id, (inputs.get(id) ?? []).reduce((most, one) => Math.max(most, (found.get(one) ?? -1) + 1), 0));
        stack.pop();
      }
    }
  }
  return found;
}

/** Places nodes in layers. A layer that would be too high continues in another column. */
export function layers(ids: string[], edges: [string, string][], width: number, height: number): Map<string, Position> {
  const depth = depths(ids, edges);
  const byDepth: string[][] = [];
  for (const id of [...ids].sort()) (byDepth[depth.get(id) ?? 0] ??= []).push(id);
  const near = new Map<string, string[]>(ids.map((id) => [id, []]));
  for (const [source, target] of edges) {
    near.get(source)?.push(target);
    near.get(target)?.push(source);
  }
  const order = new Map<string, number>();
  for (const layer of byDepth) layer?.forEach((id, number) => order.set(id, number / layer.length));
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    for (const layer of byDepth) {
      if (!layer) continue;
      const center = new Map(layer.map((id) => [id, mean((near.get(id) ?? []).map((one) => order.get(one) ?? 0)) ?? order.get(id) ?? 0]));
      layer.sort((one, other) => (center.get(one) ?? 0) - (center.get(other) ?? 0));
      layer.forEach((id, number) => order.set(id, number / layer.length));
    }
  }
  const rows = Math.max(1, Math.ceil(Math.sqrt((ids.length * width) / height / ASPECT)));
  const positions = new Map<string, Position>();
  let column = 0;
  for (const layer of byDepth) {
    layer?.forEach((id, number) => positions.set(id, { x: (column + Math.floor(number / rows)) * width, y: (number % rows) * height }));
    column += Math.ceil((layer?.length ?? 0) / rows);
  }
  return positions;
}

function mean(values: number[]): number | null {
  return values.length ? values.reduce((sum, one) => sum + one, 0) / values.length : null;
}
