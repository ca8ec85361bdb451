// Who is logged in, and the way out: the same on every page behind the login.
import { get, logout } from "./api.js";

const at = (id) => document.getElementById(id);

at("logout").addEventListener("click", () => logout().finally(() => location.assign("/login")));

export const session = get("admin/sessions/current").then((found) => {
  // Such a login can do nothing on these pages: its user left the login page before he was through.
  if (found.must_enroll) location.assign(`/login?next=${encodeURIComponent(location.pathname + location.search)}`);
  at("who").textContent = found.role ? `${found.user} (${found.role.toLowerCase()})` : found.user;
  return found;
});
session.catch(() => {});
