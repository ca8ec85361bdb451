import { post } from "./api.js";
import { onSubmit, refused } from "./form.js";

const form = document.getElementById("reset");
const done = document.getElementById("done");
// In the fragment, which is not sent to servers. It is removed from the address immediately, so that no history keeps it.
const token = location.hash.slice(1);
history.replaceState(null, "", location.pathname);

onSubmit(form, "password", async ({ password, again }) => {
  if (password.value !== again.value) throw refused("The two passwords differ.", again);
  const { user } = await post("admin/sessions:reset-password", { token, new_password: password.value });
  document.getElementById("user").textContent = user;
  form.hidden = true;
  done.hidden = false;
  done.focus();
});
