// The graph as a picture for documents: SVG, or PNG that is made of it.

import { t } from "../../../language/text";
import type { Grouped } from "./groups";
import type { Graph } from "./graph";
import { shortVersion } from "./graph";
import type { Position } from "./layers";
import { HEIGHT, WIDTH } from "./layout";

const MARGIN = 24;
/** Browsers draw no larger canvas. */
const MOST_PIXELS = 8_000;

interface Colors {
  text: string;
  dimmed: string;
  line: string;
  background: string;
  behind: string;
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
}

export function svg(graph: Graph, grouped: Grouped, positions: Map<string, Position>, colors: Colors): string {
  const all = [...positions.values()];
  const right = all.reduce((most, { x }) => Math.max(most, x), 0) + WIDTH + MARGIN;
  const bottom = all.reduce((most, { y }) => Math.max(most, y), 0) + HEIGHT + MARGIN;
  const text = (x: number, y: number, color: string, weight: number, content: string) => `<text x="${x}" y="${y}" fill="${color}" font-weight="${weight}">${escaped(content)}</text>`;
  const lines = grouped.links.map(({ source, target, version, behind, declared }) => {
    const [from, to] = [positions.get(source), positions.get(target)];
    if (!from || !to) return "";
    const [x1, y1, x2, y2] = [from.x + WIDTH, from.y + HEIGHT / 2, to.x, to.y + HEIGHT / 2];
    const middle = (x1 + x2) / 2;
    const dashes = declared ? "" : ' stroke-dasharray="4 4"';
    const label = version ? text(middle - 12, (y1 + y2) / 2 - 4, colors.dimmed, 400, `${shortVersion(version)}${behind ? t(", newer exists") : ""}`) : "";
    return `<path d="M${x1} ${y1}C${middle} ${y1} ${middle} ${y2} ${x2} ${y2}" fill="none" stroke="${behind ? colors.behind : colors.line}"${dashes}/>${label}`;
  });
  const boxes = [...grouped.assets, ...grouped.groups.map((group) => group.id)].flatMap((id) => {
    const place = positions.get(id);
    if (!place) return [];
    const group = grouped.groups.find((one) => one.id === id);
    const asset = graph.assets.get(id);
    const [project, layer, ...name] = id.split(".");
    const title = group?.name ?? name.join(".");
    const below = group ? t("{count} assets", { count: group.size }) : [project, layer, ...(asset?.owners.slice(0, 1) ?? [])].join(" · ");
    const state = group ? Object.entries(group.states).map(([one, count]) => `${count} ${one.toLowerCase()}`).join(", ") : (asset?.health.toLowerCase() ?? "");
    const { x, y } = place;
    return [
      `<rect x="${x}" y="${y}" width="${WIDTH}" height="${HEIGHT}" rx="4" fill="${colors.background}" stroke="${colors.line}"/>`,
      text(x + 8, y + 22, colors.text, 600, title.slice(0, 32)),
      text(x + 8, y + 42, colors.dimmed, 400, below.slice(0, 38)),
      text(x + 8, y + 62, colors.text, 400, state.slice(0, 38)),
    ];
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="${-MARGIN} ${-MARGIN} ${right + MARGIN} ${bottom + MARGIN}" width="${right + MARGIN}" height="${bottom + MARGIN}" font-family="system-ui, sans-serif" font-size="12"><rect x="${-MARGIN}" y="${-MARGIN}" width="100%" height="100%" fill="${colors.background}"/>${lines.join("")}${boxes.join("")}</svg>`;
}

/** Colors of the present theme. */
export function colorsOf(element: HTMLElement): Colors {
  const style = getComputedStyle(element);
  const token = (name: string) => style.getPropertyValue(`--mantine-color-${name}`).trim();
  return { text: token("text"), dimmed: token("dimmed"), line: token("default-border"), background: token("body"), behind: token("orange-filled") };
}

/** Draws a picture on a canvas. A picture that is larger than a canvas can be becomes smaller. */
export async function png(picture: string): Promise<Blob> {
  const image = new Image();
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(picture)}`;
  await image.decode();
  const scale = Math.min(2, MOST_PIXELS / image.width, MOST_PIXELS / image.height);
  const canvas = document.createElement("canvas");
  canvas.width = image.width * scale;
  canvas.height = image.height * scale;
  canvas.getContext("2d")?.drawImage(image, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve, reject) => canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error(t("The picture is too large.")))), "image/png"));
}
