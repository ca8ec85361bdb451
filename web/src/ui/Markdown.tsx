import { Anchor, Code, Image, Table, Text, Typography } from "@mantine/core";
import Parsed from "markdown-to-jsx/react";
import type { ReactNode } from "react";

const OPTIONS = {
  // The text comes from runs: HTML in it is shown as text.
  disableParsingRawHTML: true,
  forceBlock: true,
  overrides: {
    a: ({ href, children }: { href?: string; children: ReactNode }) => <Anchor href={href} target="_blank" rel="noreferrer">{children}</Anchor>,
    img: ({ src, alt }: { src?: string; alt?: string }) => (
      // Only images within the text: one of another host would tell it who reads the page.
      src?.startsWith("data:image/") ? <Image src={src} alt={alt ?? ""} w="auto" maw="100%" radius="sm" /> : <Text span c="dimmed">{alt}</Text>
    ),
    code: ({ children, className }: { children: ReactNode; className?: string }) => <Code block={Boolean(className)}>{children}</Code>,
    table: ({ children }: { children: ReactNode }) => <Table w="auto" verticalSpacing={4}>{children}</Table>,
  },
};

/** A text in Markdown that a run or a user wrote. */
export function Markdown({ text }: { text: string }) {
  return <Typography fz="sm"><Parsed options={OPTIONS}>{text}</Parsed></Typography>;
}
