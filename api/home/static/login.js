import { login } from "./api.js";

const form = document.getElementById("login");
const problem = document.getElementById("problem");

const provider = document.getElementById("provider");
const REMEMBERED = "headwater.identity-provider";

function target() {
  const next = new URLSearchParams(location.search).get("next") ?? "/";
  // Only a path of this site: a foreign address after login would be a gift to phishers.
  return /^\/(?![/\\])/.test(next) ? next : "/";
}

provider.provider.value = localStorage.getItem(REMEMBERED) ?? "";
provider.addEventListener("submit", (event) => {
  event.preventDefault();
  const name = provider.provider.value.trim();
  if (!name) return provider.provider.focus();
  localStorage.setItem(REMEMBERED, name);
  location.assign(`/login/oidc/${encodeURIComponent(name)}?next=${encodeURIComponent(target())}`);
});

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  problem.hidden = true;
  const button = form.querySelector("button");
  button.disabled = true;
  try {
    await login(form.name.value.trim(), form.password.value);
    location.assign(target());
  } catch (error) {
    problem.textContent = error.message;
    problem.hidden = false;
    form.password.select();
  } finally {
    button.disabled = false;
  }
});
