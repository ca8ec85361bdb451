import { login, post } from "./api.js";

const form = document.getElementById("accept");
const problem = document.getElementById("problem");
// Behind the #, where no server and no log sees it; taken out of the address at once, so that no history keeps it.
const token = location.hash.slice(1);
history.replaceState(null, "", location.pathname);

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  problem.hidden = true;
  const button = form.querySelector("button");
  button.disabled = true;
  const name = form.elements.name.value.trim();
  const password = form.elements.password.value;
  const title = form.elements.title.value.trim();
  try {
    await post("admin/invitations:accept", { token, name, password, ...(title && { title }) });
    await login(name, password);
    location.assign("/");
  } catch (error) {
    problem.textContent = error.message;
    problem.hidden = false;
  } finally {
    button.disabled = false;
  }
});
