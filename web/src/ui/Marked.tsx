import { Code } from "@mantine/core";

/** A text of the API, in which code is between backticks. */
export function Marked({ text }: { text: string }) {
  return text.split("`").map((part, number) => (number % 2 ? <Code key={`${number}${part}`}>{part}</Code> : part));
}
