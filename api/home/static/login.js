import { login } from "./api.js";

const form = document.getElementById("login");
const problem = document.getElementById("problem");

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  problem.hidden = true;
  const button = form.querySelector("button");
  button.disabled = true;
  try {
    await login(form.name.value.trim(), form.password.value);
    const next = new URLSearchParams(location.search).get("next") ?? "/";
    // Only a path of this site: a foreign address after login would be a gift to phishers.
    location.assign(/^\/(?![/\\])/.test(next) ? next : "/");
  } catch (error) {
    problem.textContent = error.message;
    problem.hidden = false;
    form.password.select();
  } finally {
    button.disabled = false;
  }
});
