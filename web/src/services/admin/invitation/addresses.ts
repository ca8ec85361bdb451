const ADDRESS = /^[^@\s]+@[^@\s]+$/;

/** The mail addresses of a text, each once, and what isn't one. People separate them by commas, semicolons, or lines. */
export function addresses(text: string): { valid: string[]; invalid: string[] } {
  // As mail programs copy them: "Ada Lovelace <ada@example.org>".
  const bare = text.replaceAll(/[^,;\n<]*<([^<>\s]+)>/g, "$1");
  const found = [...new Set(bare.split(/[\s,;]+/).filter(Boolean))];
  return { valid: found.filter((one) => ADDRESS.test(one)), invalid: found.filter((one) => !ADDRESS.test(one)) };
}
