// One asset: its description, state, inputs, and newest rows.

import { ago, element as h, get, post, short } from "./api.js";

const optional = (promise) => promise.catch(() => null);

export async function showAsset(target, id, onLaunch) {
  const path = `ai-catalog/assets/${id}`;
  const [asset, provenance, preview, history] = await Promise.all([
    get(path),
    optional(get(`${path}/provenance`)),
    optional(get(`${path}/preview?page_size=5`)),
    optional(get(`${path}/history?page_size=6`)),
  ]);
  const status = h("span", { class: "muted small", role: "status" });
  const launch = async (upstream) => {
    try {
      const operation = await post(`${path}:materialize`, { upstream });
      status.textContent = `Started: ${operation.id}`;
      onLaunch();
    } catch (error) {
      status.textContent = error.message;
    }
  };
  const dagster = `/dagster/assets/${id.split(".").map(encodeURIComponent).join("/")}`;
  target.replaceChildren(
    h("div", { class: "title" },
      h("h2", {}, id),
      h("span", { class: `state ${asset.health}` }, asset.health),
      h("span", { class: "state" }, asset.staleness),
      h("button", { class: "primary", type: "button", onclick: () => launch(false) }, "Materialize"),
      h("button", { type: "button", onclick: () => launch(true) }, "With upstream"),
      h("a", { href: dagster }, "Open in Dagster"),
      status),
    h("p", {}, asset.description ?? ""),
    h("div", { class: "columns" },
      h("div", {}, h("h3", {}, "Exact inputs"), inputs(provenance)),
      h("div", {}, h("h3", {}, "Versions"), versions(history)),
      h("div", {}, h("h3", {}, "Checks"), checks(asset))),
    preview ? h("div", { class: "scroll" }, rows(preview)) : h("p", { class: "muted" }, "No rows yet."),
  );
  target.hidden = false;
  target.scrollIntoView({ behavior: "smooth", block: "nearest" });
}

function inputs(provenance) {
  const materialization = provenance?.materializations.at(-1);
  if (!materialization) return h("p", { class: "muted" }, "Nothing recorded.");
  return h("div", {},
    h("ul", {}, ...materialization.inputs.map(({ asset, version }) =>
      h("li", {}, asset.includes(":") ? asset : h("a", { href: `?asset=${asset}` }, asset), " ",
        h("code", { title: version }, short(version).slice(0, 16))))),
    h("p", { class: "muted small" }, `by ${materialization.engine}, code ${materialization.code_version}, `,
      h("a", { href: `/dagster/runs/${materialization.run}` }, "run"), `, for ${materialization.principal}`));
}

function versions(history) {
  const items = history?.items ?? [];
  if (!items.length) return h("p", { class: "muted" }, "Never written.");
  return h("ul", {}, ...items.map((commit) =>
    h("li", {}, h("code", {}, `@${commit.table_version}`), ` ${commit.operation.toLowerCase()} `,
      h("span", { class: "muted small" }, ago(commit.committed_at)))));
}

function checks(asset) {
  const found = asset.checks ?? [];
  if (!found.length) return h("p", { class: "muted" }, "None declared.");
  return h("ul", {}, ...found.map((check) =>
    h("li", {}, h("span", { class: `dot ${check.status}` }), ` ${check.name}`, h("span", { class: "muted small" }, check.message ? ` ${check.message}` : ""))));
}

function rows(preview) {
  const columns = preview.columns.map((column) => column.name ?? column);
  return h("table", { class: "data" },
    h("thead", {}, h("tr", {}, ...columns.map((name) => h("th", { scope: "col" }, name)))),
    h("tbody", {}, ...preview.rows.map((row) => h("tr", {}, ...columns.map((name) => h("td", {}, cell(row[name])))))));
}

function cell(value) {
  if (value === null || value === undefined) return "";
  const text = typeof value === "object" ? JSON.stringify(value) : String(value);
  return text.length > 40 ? `${text.slice(0, 39)}…` : text;
}
