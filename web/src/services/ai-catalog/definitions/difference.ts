// The lines that differ between two texts.

export interface Line {
  sign: " " | "+" | "-";
  text: string;
}

/** All lines of both texts: kept, added, and removed ones, by their longest common subsequence. */
export function difference(before: string, after: string): Line[] {
  const old = before.trimEnd().split("\n");
  const now = after.trimEnd().split("\n");
  const width = now.length + 1;
  const common = new Uint16Array((old.length + 1) * width);
  const at = (row: number, column: number) => common[row * width + column] ?? 0;
  for (let row = old.length - 1; row >= 0; row--) {
    for (let column = now.length - 1; column >= 0; column--) {
      common[row * width + column] = old[row] === now[column] ? at(row + 1, column + 1) + 1 : Math.max(at(row + 1, column), at(row, column + 1));
    }
  }
  const lines: Line[] = [];
  let row = 0;
  let column = 0;
  while (row < old.length || column < now.length) {
    if (row < old.length && column < now.length && old[row] === now[column]) {
      lines.push({ sign: " ", text: old[row++] ?? "" });
      column++;
    } else if (column >= now.length || (row < old.length && at(row + 1, column) >= at(row, column + 1))) lines.push({ sign: "-", text: old[row++] ?? "" });
    else lines.push({ sign: "+", text: now[column++] ?? "" });
  }
  return lines;
}

/** The lines that changed, each with two lines around it. A gap is a line without text. */
export function changedLines(before: string, after: string): Line[] {
  const lines = difference(before, after);
  const near = lines.map((_, number) => lines.slice(Math.max(0, number - 2), number + 3).some((one) => one.sign !== " "));
  return lines.flatMap((line, number) => {
    if (near[number]) return [line];
    return near[number - 1] && near.slice(number).some(Boolean) ? [{ sign: " " as const, text: "⋯" }] : [];
  });
}
