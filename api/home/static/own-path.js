// Where a user can be redirected after login: a path of this site. `api/kernel/http/own_path.py` has the same rule.
// Browsers remove tabs and line breaks, and read backslashes as slashes, so ambiguous paths are refused.

const TAIL = "[A-Za-z0-9\\-._~!$&'()*+,;=:@/?%\\[\\]{}|^`]*";
const ADDRESS = new RegExp(`^([A-Za-z0-9\\-._~!$&'()*+,=:@/%]*)(?:\\?${TAIL})?(?:#${TAIL})?$`);
const ESCAPE = /%(?![0-9A-F]{2})/;
const NEEDLESS = /%(?:2D|2E|3[0-9]|4[1-9A-F]|5[0-9A]|5F|6[1-9A-F]|7[0-9A]|7E)/;
const DANGEROUS = /%(?:[01].|7F|25|2F|3B|5C)/;

function normal(path) {
  const segments = path.split("/");
  if (!path.startsWith("/") || ESCAPE.test(path) || NEEDLESS.test(path) || DANGEROUS.test(path)) return false;
  if (segments.slice(1, -1).some((one) => !one) || segments.some((one) => one === "." || one === "..")) return false;
  try {
    decodeURIComponent(path);
    return true;
  } catch {
    return false;
  }
}

export function ownPath(wanted, otherwise = "/") {
  const found = wanted.length <= 1000 ? ADDRESS.exec(wanted) : null;
  return found && normal(found[1]) ? wanted : otherwise;
}
