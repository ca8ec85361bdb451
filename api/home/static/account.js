import { ago, element as h, get, list, post, remove } from "./api.js";
import { begin, complete, kept } from "./enrollment.js";
import { code, onSubmit, refused } from "./form.js";
import { session } from "./header.js";

const at = (id) => document.getElementById(id);
const alert = () => h("p", { class: "problem", role: "alert", hidden: true });
const submit = (text) => h("button", { class: "primary", type: "submit" }, text);

function fill(id, ...children) {
  at(id).replaceChildren(...children);
  at(id).removeAttribute("aria-busy");
}

function field(id, name, label, attributes) {
  return [h("label", { for: id }, label), h("input", { id, name, required: true, ...attributes })];
}

const CODE = { autocomplete: "one-time-code", autocapitalize: "none", spellcheck: "false", maxlength: 64 };

function codeField(id) {
  return field(id, "code", "One-time code, or a recovery code", CODE);
}

function passwordField(id, name, label, autocomplete) {
  return field(id, name, label, { type: "password", autocomplete });
}

async function showFactor(user) {
  const account = await get(`admin/users/${encodeURIComponent(user)}/account`);
  if (!account.has_password) {
    const elsewhere = () => h("p", { class: "muted" }, "You log in through your identity provider. Change it there.");
    fill("factor", elsewhere());
    return fill("password", elsewhere());
  }
  fill("factor", ...(account.has_one_time_password ? [switchOff(user), renewCodes(user)] : [setUp(user)]));
  fill("password", change(user, account.has_one_time_password));
}

function setUp(user) {
  const form = h("form", { class: "steps", novalidate: true },
    h("p", {}, "You log in with a password only. With a one-time code from an app, a stolen password is not enough to log in."),
    alert(), submit("Set up"));
  onSubmit(form, "", async () => {
    const enrollment = await begin(user);
    await complete(at("factor"), enrollment);
    await showFactor(user);
    at("factor-title").focus();
  });
  return form;
}

function switchOff(user) {
  const form = h("form", { class: "steps", novalidate: true },
    h("p", {}, "You log in with your password and a code from your app. To use another phone, turn it off and set it up again."),
    ...codeField("off-code"), alert(), submit("Turn off"));
  onSubmit(form, "code", async (fields) => {
    await post(`admin/users/${encodeURIComponent(user)}:disable-one-time-password`, { code: code(fields.code.value) });
    await showFactor(user);
    at("factor-title").focus();
  });
  return form;
}

function renewCodes(user) {
  const form = h("form", { class: "steps", novalidate: true },
    h("h3", {}, "Recovery codes"),
    h("p", {}, "If you have few recovery codes left, or lost them, create new ones. The old ones stop working."),
    ...field("renew-code", "code", "Code from your app, or an unused recovery code", CODE), alert(), h("button", { type: "submit" }, "Create new codes"));
  onSubmit(form, "code", async (fields) => {
    const proof = { code: code(fields.code.value) };
    const { recovery_codes } = await post(`admin/users/${encodeURIComponent(user)}:renew-recovery-codes`, proof);
    await kept(at("factor"), recovery_codes);
    await showFactor(user);
    at("factor-title").focus();
  });
  return form;
}

function change(name, withCode) {
  const form = h("form", { class: "steps", novalidate: true },
    h("input", { name: "name", value: name, autocomplete: "username", readonly: true, hidden: true }),
    ...passwordField("old", "password", "Current password", "current-password"),
    ...passwordField("new", "fresh", "New password", "new-password"),
    ...passwordField("again", "again", "Repeat the new password", "new-password"),
    ...(withCode ? codeField("change-code") : []),
    alert(), submit("Change"), h("p", { class: "muted small" }, "All your sessions end, including this one."));
  onSubmit(form, "password", async (fields) => {
    const { password, fresh, again } = fields;
    if (fresh.value !== again.value) throw refused("The two passwords differ.", again);
    const one_time_password = withCode ? code(fields.code.value) : "";
    await post("admin/sessions:change-password", { name, password: password.value, new_password: fresh.value, one_time_password });
    const done = h("p", { role: "status", tabindex: -1 }, "Your password was changed. ", h("a", { href: "login?next=%2Faccount" }, "Log in"));
    fill("password", done);
    done.focus();
  });
  return form;
}

async function showSessions(current) {
  const heads = ["Login", "Since", "Ends", ""].map((text) => (text ? h("th", { scope: "col" }, text) : h("td")));
  const rows = (await list("admin/sessions")).map((one) => sessionRow(one, current));
  fill("sessions", h("table", {}, h("thead", {}, h("tr", {}, ...heads)), h("tbody", {}, ...rows)));
}

function sessionRow(one, current) {
  const end = async () => {
    try {
      await remove(`admin/sessions/${one.id}`);
      await showSessions(current);
      at("ended").textContent = `The ${one.label} was ended.`;
      at("sessions-title").focus();
    } catch (error) {
      refuse(error);
    }
  };
  const name = `End the ${one.label}, ${ago(one.created_at)}`;
  return h("tr", {},
    h("td", {}, one.label),
    h("td", { class: "when" }, ago(one.created_at)),
    h("td", {}, new Date(one.expires_at).toLocaleString([], { dateStyle: "short", timeStyle: "short" })),
    h("td", {}, one.id === current
      ? h("span", { class: "muted" }, "this one")
      : h("button", { type: "button", "aria-label": name, onclick: end }, "End")));
}

function refuse(error) {
  at("problem").textContent = error.message;
  at("problem").hidden = false;
}

session.then(({ id, user }) => Promise.all([showFactor(user), showSessions(id)])).catch(refuse);
