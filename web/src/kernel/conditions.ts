// Conditions of the filter language (CEL).

export const OPERATORS: Record<string, (name: string, text: string) => string> = {
  is: (name, text) => `${name} == ${literal(text)}`,
  "is not": (name, text) => `${name} != ${literal(text)}`,
  "starts with": (name, text) => `${name}.startsWith(${JSON.stringify(text)})`,
  contains: (name, text) => `${name}.contains(${JSON.stringify(text)})`,
  "is at least": (name, text) => `${name} >= ${literal(text)}`,
  "is at most": (name, text) => `${name} <= ${literal(text)}`,
};

/** A value as a literal of the filter language (CEL): numbers, true, and false are no strings. */
export function literal(text: string): string {
  if (/^(true|false|-?\d+(\.\d+)?)$/.test(text)) return text;
  if (/^\d{4}-\d{2}-\d{2}T[\d:.]+(Z|[+-]\d{2}:\d{2})$/.test(text)) return `timestamp(${JSON.stringify(text)})`;
  return JSON.stringify(text);
}

export function condition(name: string, operator: string, text: string): string {
  return OPERATORS[operator]?.(name, text) ?? "";
}
