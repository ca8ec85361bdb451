// The user and the logout button, on every page that needs a login.
import { get, logout } from "./api.js";

const at = (id) => document.getElementById(id);

at("logout").addEventListener("click", () => logout().finally(() => location.assign("login")));

export const session = get("admin/sessions/current").then((found) => {
  // This session can't use these pages: its user left the login page before the last step.
  if (found.must_enroll) location.assign(`login?next=${encodeURIComponent(location.pathname + location.search)}`);
  at("who").textContent = found.role ? `${found.user} (${found.role.toLowerCase()})` : found.user;
  return found;
});
session.catch(() => {});
