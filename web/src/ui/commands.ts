// The commands of `headwater` that show what a page shows.

type Search = Record<string, unknown>;

const quoted = (value: unknown): string => {
  const text = String(value);
  return /^[\w.@/-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
};

/** An option of a command, if the address has its value. */
const option = (name: string, value: unknown): string => (value === undefined || value === "" ? "" : ` --${name} ${quoted(value)}`);

const OF_TABS: Record<string, string> = { versions: "headwater history", provenance: "headwater lineage" };

const COMMANDS: [RegExp, (id: string, search: Search) => string | undefined][] = [
  [/^\/(?:ai-catalog\/)?assets$/, (_, { retired }) => `headwater assets list${retired ? " --retired" : ""}`],
  [/^\/ai-catalog\/assets\/([^/]+)$/, (id, { tab }) => `${OF_TABS[String(tab)] ?? "headwater assets get"} ${id}`],
  [/^\/lineage$/, (_, { focus, up }) => (focus ? `headwater lineage ${quoted(focus)}${option("depth", up)}` : undefined)],
  [/^\/query$/, (_, { sql }) => (sql ? `headwater query ${quoted(sql)}` : undefined)],
  [/^\/ask$/, (_, { index, q, k, mode }) => (index && q ? `headwater search ${quoted(index)} ${quoted(q)}${option("limit", k)}${option("mode", mode)}` : undefined)],
  [/^\/(?:ai-catalog\/schedules|runs\/automation)$/, () => "headwater schedules"],
  [/^\/operations\/operations$/, () => "headwater runs"],
  [/^\/operations\/operations\/([^/]+)$/, (id) => `headwater logs ${id}`],
  [/^\/admin\/users$/, (_, { filter }) => `headwater users${option("filter", filter)}`],
];

/** Returns the command for the page at a path, or undefined if no command shows the same. */
export function commandOf(path: string, search: Search = {}): string | undefined {
  for (const [pattern, command] of COMMANDS) {
    const found = pattern.exec(path);
    if (found) return command(quoted(decodeURIComponent(found[1] ?? "")), search);
  }
  return undefined;
}
