import { Anchor, Code, CopyButton, Group, UnstyledButton } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { catalogues } from "../api/platform";
import { nameOf, targetOf } from "../api/references";
import { t } from "../language/text";
import { RowLink } from "../ui/RowLink";

/** A thing that a field refers to: its name as a link, and its id to copy. */
export function Reference({ id, kinds, compact = false }: { id: string; kinds: string[]; compact?: boolean }) {
  const { data } = useQuery(catalogues);
  const target = data && targetOf(data, kinds, id);
  const { data: name } = useQuery(nameOf(target, id));
  if (!target) return id === "platform" ? t("The platform") : <Code>{id}</Code>;
  const to = `/${target.service}/${target.kind.plural}/${encodeURIComponent(id)}`;
  if (compact) return <RowLink to={to} isCode={!name} title={name ? id : undefined}>{name ?? id}</RowLink>;
  const link = <Anchor component={Link} to={to} size="sm" ff={name ? undefined : "monospace"}>{name ?? id}</Anchor>;
  if (!name) return link;
  return (
    <Group gap="xs">
      {link}
      <CopyButton value={id}>
        {({ copied, copy }) => <UnstyledButton onClick={copy} title={t("Copy the ID")}><Code style={{ overflowWrap: "anywhere" }}>{copied ? t("Copied") : id}</Code></UnstyledButton>}
      </CopyButton>
    </Group>
  );
}
