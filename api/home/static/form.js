// A form whose work may be refused: the reason is read out, and the field to try again is selected.

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

// Apps show a code in groups, and so it is typed.
export const code = (typed) => typed.replace(/\s/g, "");
