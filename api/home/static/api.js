// The REST API as the pages use it. The session cookie authenticates; the browser sends it to this site only.
// Paths are relative to the pages, because the platform can have a path prefix.

export class Problem extends Error {
  constructor(body, status) {
    super(body.detail ?? body.title ?? `The platform answered ${status}.`);
    this.status = status;
    this.reason = body.reason;
  }
}

async function call(method, path, body) {
  const response = await fetch(`api/v1/${path}`, {
    method,
    headers: body === undefined ? {} : { "content-type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  if (response.status === 401 && !path.startsWith("admin/sessions:")) {
    location.assign(`login?next=${encodeURIComponent(location.pathname + location.search)}`);
    return new Promise(() => {});
  }
  const json = response.headers.get("content-type")?.includes("json") ? await response.json() : {};
  if (!response.ok) throw new Problem(json, response.status);
  return json;
}

export const get = (path) => call("GET", path);
export const post = (path, body = {}) => call("POST", path, body);
export const remove = (path) => call("DELETE", path);

export async function list(path) {
  const items = [];
  let token = "";
  do {
    const joint = path.includes("?") ? "&" : "?";
    const page = await get(`${path}${joint}page_size=500${token && `&page_token=${encodeURIComponent(token)}`}`);
    items.push(...page.items);
    token = page.next_page_token;
  } while (token);
  return items;
}

export const login = (name, password, one_time_password = "") =>
  post("admin/sessions:login", { name, password, one_time_password });
export const logout = () => post("admin/sessions:logout");

export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

export const short = (version) => (version ? `@${version.split("@").at(-1)}` : "–");

export function ago(instant) {
  if (!instant) return "never";
  const seconds = Math.max(0, (Date.now() - new Date(instant)) / 1000);
  for (const [unit, size] of [["d", 86400], ["h", 3600], ["min", 60]]) {
    if (seconds >= size) return `${Math.floor(seconds / size)} ${unit} ago`;
  }
  return `${Math.floor(seconds)} s ago`;
}
