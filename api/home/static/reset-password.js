import { post } from "./api.js";

const form = document.getElementById("reset");
const problem = document.getElementById("problem");
const done = document.getElementById("done");
// Behind the #, where no server and no log sees it; taken out of the address at once, so that no history keeps it.
const token = location.hash.slice(1);
history.replaceState(null, "", location.pathname);

function refuse(message, field) {
  problem.textContent = message;
  problem.hidden = false;
  field.select();
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  problem.hidden = true;
  const { password, again } = form.elements;
  if (password.value !== again.value) return refuse("The two passwords differ.", again);
  const button = form.querySelector("button");
  button.disabled = true;
  try {
    const { user } = await post("admin/sessions:reset-password", { token, new_password: password.value });
    document.getElementById("user").textContent = user;
    form.hidden = true;
    done.hidden = false;
    done.focus();
  } catch (error) {
    refuse(error.message, password);
  } finally {
    button.disabled = false;
  }
});
