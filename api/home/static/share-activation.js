import { element, post } from "./api.js";
import { onSubmit } from "./form.js";

// In the fragment, which is not sent to servers. It is removed from the address immediately, so that no history keeps it.
const secret = location.hash.slice(1);
history.replaceState(null, "", location.pathname);

onSubmit(document.getElementById("activate"), "activate", async () => {
  const profile = await post("ai-catalog/recipients:activate", { secret });
  const file = new Blob([JSON.stringify(profile, null, 2)], { type: "application/json" });
  const url = URL.createObjectURL(file);
  element("a", { href: url, download: "config.share" }).click();
  URL.revokeObjectURL(url);
});
