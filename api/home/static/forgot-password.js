import { post } from "./api.js";
import { onSubmit } from "./form.js";

const done = document.getElementById("done");

onSubmit(document.getElementById("forgotten"), "name", async (fields) => {
  done.textContent = "";
  const name = fields.name.value.trim();
  if (!name) return fields.name.focus();
  const { minutes } = await post("admin/sessions:request-password-reset", { name });
  // The same for every account name, so that it does not disclose which accounts exist.
  done.textContent = `If this account exists, we sent an email. Its link works for ${minutes} minutes.`;
});
