import { post } from "./api.js";

const form = document.getElementById("forgotten");
const problem = document.getElementById("problem");
const done = document.getElementById("done");

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  problem.hidden = true;
  done.textContent = "";
  const name = form.elements.name.value.trim();
  if (!name) return form.elements.name.focus();
  const button = form.querySelector("button");
  button.disabled = true;
  try {
    const { minutes } = await post("admin/sessions:request-password-reset", { name });
    // The same for everybody: whether there is such an account is nobody's business.
    done.textContent = `If there is such an account, a mail is on its way. Its link works for ${minutes} minutes.`;
  } catch (error) {
    problem.textContent = error.message;
    problem.hidden = false;
  } finally {
    button.disabled = false;
  }
});
