import { login, post, remove } from "./api.js";
import { begin, complete } from "./enrollment.js";
import { code, onSubmit, refused } from "./form.js";
import { ownPath } from "./own-path.js";

const at = (id) => document.getElementById(id);
const provider = at("provider");
const REMEMBERED = "headwater.identity-provider";
// The user's input, kept until the page is left, because a login can take several steps.
let typed;
let limited;

const target = () => ownPath(new URLSearchParams(location.search).get("next") ?? "", "./");

function show(id) {
  for (const card of document.querySelectorAll("main > .card")) card.hidden = card.id !== id;
}

async function enter() {
  const session = await login(typed.name, typed.password, typed.code);
  if (session.must_enroll) return setUp(session);
  // A failure has no effect: this session has no rights, and expires.
  if (limited) await remove(`admin/sessions/${limited}`).catch(() => {});
  location.assign(target());
}

async function setUp(session) {
  const enrollment = await begin(session.user);
  limited = session.id;
  show("enrollment");
  await complete(at("steps"), enrollment);
  // The session stays limited to this step, and the first code is used up.
  askForNext("Your one-time password is set up. Log in with a code.");
}

function askForNext(why) {
  at("next").reset();
  at("next-why").textContent = why;
  show("next");
  at("next-code").focus();
}

function askToChange() {
  const { elements } = at("change");
  elements.name.value = typed.name;
  elements.code.value = typed.code;
  // Users who typed a code are asked for it again, because it may expire while they choose the password.
  at("change-code").hidden = !typed.code;
  show("change");
  elements.password.focus();
}

// Logs in, or asks for what is missing.
async function attempt() {
  try {
    await enter();
  } catch (error) {
    if (error.reason === "ONE_TIME_CODE_REQUIRED") return askForNext("Enter the code that your authenticator app shows.");
    if (error.reason !== "PASSWORD_RESET_REQUIRED") throw error;
    askToChange();
  }
}

onSubmit(at("login"), "password", async (fields) => {
  typed = { name: fields.name.value.trim(), password: fields.password.value, code: "" };
  await attempt();
});

onSubmit(at("change"), "password", async (fields) => {
  if (fields.password.value !== fields.again.value) throw refused("The two passwords differ.", fields.again);
  const { name, password } = typed;
  const one_time_password = code(fields.code.value);
  try {
    await post("admin/sessions:change-password", { name, password, new_password: fields.password.value, one_time_password });
  } catch (error) {
    if (error.status !== 401 || !typed.code) throw error;
    throw refused("The code is wrong or expired.", fields.code);
  }
  typed = { name, password: fields.password.value, code: "" };
  if (one_time_password) return askForNext("Your password was changed. Log in again.");
  await enter();
});

onSubmit(at("next"), "code", async (fields) => {
  typed.code = code(fields.code.value);
  await attempt();
});

provider.provider.value = localStorage.getItem(REMEMBERED) ?? "";
provider.addEventListener("submit", (event) => {
  event.preventDefault();
  const name = provider.provider.value.trim();
  if (!name) return provider.provider.focus();
  localStorage.setItem(REMEMBERED, name);
  location.assign(`login/oidc/${encodeURIComponent(name)}?next=${encodeURIComponent(target())}`);
});
