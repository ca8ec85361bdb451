import { login, post } from "./api.js";
import { onSubmit } from "./form.js";

// In the fragment, which is not sent to servers. It is removed from the address immediately, so that no history keeps it.
const token = location.hash.slice(1);
history.replaceState(null, "", location.pathname);

onSubmit(document.getElementById("accept"), "password", async (fields) => {
  const name = fields.name.value.trim();
  const password = fields.password.value;
  const title = fields.title.value.trim();
  const accepted = await post("admin/invitations:accept", { token, name, password, ...(title && { title }) });
  await login(accepted.login_name, password);
  location.assign("./");
});
