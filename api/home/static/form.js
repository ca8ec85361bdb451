// A form that the API may refuse. The reason is announced, and the field to correct gets the focus.

export const refused = (message, field) => Object.assign(new Error(message), { field });

export function onSubmit(form, field, work) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const problem = form.querySelector("[role=alert]");
    const button = form.querySelector("[type=submit]");
    problem.hidden = true;
    button.disabled = true;
    try {
      await work(form.elements);
    } catch (error) {
      problem.textContent = error.message;
      problem.hidden = false;
      (error.field ?? form.elements[field])?.select();
    } finally {
      button.disabled = false;
    }
  });
}

// Apps show a code in groups, and users type it with the spaces.
export const code = (typed) => typed.replace(/\s/g, "");
