import { element as h, post } from "./api.js";
import { code, onSubmit } from "./form.js";

const verb = (user, name) => `admin/users/${encodeURIComponent(user)}:${name}-one-time-password`;
const grouped = (secret) => secret.match(/.{1,4}/g).join(" ");

// Creates the secret. Logins do not need it until its first code is confirmed.
export const begin = async (user) => ({ user, ...(await post(verb(user, "enroll"))) });

// Shows the secret, asks for its first code, and shows the recovery codes. Resolves when the user has stored them.
export async function complete(place, enrollment) {
  const codes = await firstCode(place, enrollment);
  await kept(place, codes);
  place.replaceChildren();
}

function firstCode(place, { user, secret, qr_code }) {
  return new Promise((resolve) => {
    const form = h("form", { class: "steps", novalidate: true },
      h("p", {}, "Scan this code with an authenticator app on your phone."),
      h("img", { class: "qr", src: qr_code, alt: "QR code for an authenticator app", width: 200, height: 200 }),
      h("p", { id: "typed" }, "Or type this key into the app: ", h("code", { class: "key-text" }, grouped(secret))),
      h("label", { for: "first-code" }, "Current code from the app"),
      h("input", { id: "first-code", name: "code", autocomplete: "one-time-code", inputmode: "numeric", maxlength: 64,
        required: true, "aria-describedby": "typed" }),
      h("p", { class: "problem", role: "alert", hidden: true }),
      h("button", { class: "primary", type: "submit" }, "Confirm"));
    onSubmit(form, "code", async (fields) => {
      const { recovery_codes } = await post(verb(user, "confirm"), { code: code(fields.code.value) });
      resolve(recovery_codes);
    });
    place.replaceChildren(form);
    form.elements.code.focus();
  });
}

export function kept(place, codes) {
  return new Promise((resolve) => {
    const title = h("h2", { tabindex: -1 }, "Keep your recovery codes");
    const shown = h("ul", { class: "codes", "aria-label": "Recovery codes" },
      ...codes.map((one) => h("li", {}, h("code", {}, one))));
    const said = h("p", { class: "muted small", role: "status" });
    place.replaceChildren(h("div", { class: "steps" },
      title,
      h("p", {}, "If you lose the app, you can use each of them once instead of a code. They are shown only now. Store them in a safe place."),
      shown,
      h("button", { type: "button", onclick: () => copy(codes, shown, said) }, "Copy"),
      said,
      h("button", { class: "primary", type: "button", onclick: resolve }, "I have kept them")));
    title.focus();
  });
}

async function copy(codes, shown, said) {
  try {
    await navigator.clipboard.writeText(codes.join("\n"));
    said.textContent = "Copied.";
  } catch {
    // Browsers allow access to the clipboard over TLS only.
    getSelection().selectAllChildren(shown);
    said.textContent = "The codes are selected. Copy them with your keyboard.";
  }
}
