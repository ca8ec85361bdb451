import { ago, element as h, get, list, post, short } from "./api.js";
import { showAsset } from "./asset.js";
import { render } from "./graph.js";
import "./header.js";

const at = (id) => document.getElementById(id);
const SCHEMAS = ["bronze", "silver", "gold", "features", "models", "index", "rounds"];
const RUNNING = ["PENDING", "RUNNING", "CANCELING"];
let drawn = "";

function number(value, label) {
  return h("div", {}, h("strong", {}, String(value)), h("span", { class: "muted" }, label));
}

function failed(target, error) {
  target.replaceChildren(h("p", { class: "problem", role: "alert" }, error.message));
}

async function showGraph() {
  const assets = await list("ai-catalog/assets");
  const count = (field, value) => assets.filter((asset) => asset[field] === value).length;
  at("numbers").replaceChildren(
    number(assets.length, "assets"),
    number(count("health", "HEALTHY"), "healthy"),
    number(count("health", "UNCHECKED"), "unchecked"),
    number(count("staleness", "STALE"), "stale"),
    number(assets.filter((asset) => asset.data_version).length, "materialized"),
  );
  at("legend").replaceChildren(...SCHEMAS.map((schema) => h("span", { class: `key ${schema}` }, schema)));
  const state = JSON.stringify(assets.map((a) => [a.id, a.health, a.staleness, a.upstream]));
  if (state === drawn) return;
  drawn = state;
  const focused = document.activeElement?.dataset?.id;
  render(at("graph"), assets, select);
  at("graph").removeAttribute("aria-busy");
  if (focused) at("graph").querySelector(`[data-id="${CSS.escape(focused)}"]`)?.focus();
}

function select(id) {
  history.replaceState(null, "", `?asset=${encodeURIComponent(id)}`);
  showAsset(at("asset"), id, showActivity).catch((error) => failed(at("asset"), error));
}

async function showActivity() {
  const { items } = await get("operations?page_size=8");
  at("activity").replaceChildren(
    items.length
      ? h("table", {}, h("tbody", {}, ...items.map(operationRow)))
      : h("p", { class: "muted" }, "Nothing has run yet."),
  );
  return items.some((operation) => RUNNING.includes(operation.state));
}

const named = ({ assets }) => (assets.length > 2 ? `${assets.length} assets` : assets.join(", "));

function operationRow(operation) {
  const { done, total } = operation.progress;
  const running = RUNNING.includes(operation.state);
  const cancel = () => post(`operations/${operation.id}:cancel`).then(showActivity);
  return h("tr", {},
    h("td", {}, h("span", { class: `state ${operation.state}` }, operation.state)),
    h("td", {}, operation.action.split(".").at(-1), " ", h("span", { class: "muted" }, named(operation)),
      operation.error ? h("div", { class: "problem small" }, operation.error) : null),
    h("td", {}, total ? h("progress", { max: total, value: done, title: `${done} of ${total}` }) : ""),
    h("td", { class: "muted when" }, ago(operation.created_at)),
    h("td", {}, running && h("button", { type: "button", onclick: cancel }, "Cancel")));
}

at("ask").addEventListener("submit", async (event) => {
  event.preventDefault();
  const answers = at("answers");
  try {
    const indexes = await list("rag/indexes");
    if (!indexes.length) throw new Error("There is no index yet: materialize flights.index.handbook.");
    const found = await post(`rag/indexes/${indexes[0].id}:search`, { query: at("question").value, k: 4 });
    answers.replaceChildren(
      ...found.hits.map(({ title, text, citation }) =>
        h("article", { class: "hit" },
          h("h3", {}, title, h("span", { class: "muted" }, ` › ${citation.heading.split(" > ").slice(1).join(" › ")}`)),
          h("p", {}, text.length > 420 ? `${text.slice(0, 420)}…` : text),
          h("p", { class: "muted small", title: citation.text },
            `${citation.document}, chunk ${citation.chunk.slice(0, 8)}, ${citation.index} ${short(citation.version)}`))),
    );
  } catch (error) {
    failed(answers, error);
  }
});

at("predict").addEventListener("submit", async (event) => {
  event.preventDefault();
  const target = at("prediction");
  try {
    const answer = await post("ai-system/models/flights.models.arrival_delay:predict", {
      instances: [{ flight_id: at("flight").value.trim() }],
      explain: true,
    });
    const [found] = answer.predictions;
    const percent = `${(found.probability * 100).toFixed(1)} %`;
    target.replaceChildren(
      h("p", { class: "big" }, percent, h("span", { class: "muted" }, " chance to arrive more than 15 minutes late")),
      h("meter", { min: 0, max: 1, low: 0.25, high: 0.5, optimum: 0, value: found.probability, "aria-label": percent }),
      h("p", { class: "muted small" }, `${answer.model} ${short(answer.model_data_version)}, features ${short(answer.features_data_version)}`, reasons(found)));
  } catch (error) {
    failed(target, error);
  }
});

function reasons({ contributions }) {
  const strongest = (contributions ?? []).slice(0, 4);
  return h("ul", { class: "small" }, ...strongest.map((reason) =>
    h("li", {}, `${reason.feature} ${reason.contribution > 0 ? "▲ later" : "▼ more punctual"}`,
      h("span", { class: "muted" }, ` (log-odds ${reason.contribution.toFixed(2)})`))));
}

async function suggestFlight() {
  const preview = await get("ai-catalog/assets/flights.features.departures/preview?page_size=1&columns=flight_id");
  if (preview.rows?.length) at("flight").value = preview.rows[0].flight_id;
}

async function refresh() {
  let busy = false;
  try {
    await showGraph();
    busy = await showActivity();
  } catch (error) {
    if (!drawn) failed(at("graph"), error);
  }
  setTimeout(refresh, document.hidden ? 15000 : busy ? 1500 : 5000);
}

refresh().then(() => {
  const asset = new URLSearchParams(location.search).get("asset");
  if (asset) select(asset);
});
suggestFlight().catch(() => {});
