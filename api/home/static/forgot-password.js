import { post } from "./api.js";
import { onSubmit } from "./form.js";

const done = document.getElementById("done");

onSubmit(document.getElementById("forgotten"), "name", async (fields) => {
  done.textContent = "";
  const name = fields.name.value.trim();
  if (!name) return fields.name.focus();
  const { minutes } = await post("admin/sessions:request-password-reset", { name });
  // The same for everybody: whether there is such an account is nobody's business.
  done.textContent = `If there is such an account, a mail is on its way. Its link works for ${minutes} minutes.`;
});
