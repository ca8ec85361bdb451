import { login, post } from "./api.js";
import { onSubmit } from "./form.js";

// Behind the #, where no server and no log sees it; taken out of the address at once, so that no history keeps it.
const token = location.hash.slice(1);
history.replaceState(null, "", location.pathname);

onSubmit(document.getElementById("accept"), "password", async (fields) => {
  const name = fields.name.value.trim();
  const password = fields.password.value;
  const title = fields.title.value.trim();
  await post("admin/invitations:accept", { token, name, password, ...(title && { title }) });
  await login(name, password);
  location.assign("/");
});
