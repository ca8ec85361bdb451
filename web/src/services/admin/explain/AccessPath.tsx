import { Anchor, Card, Code, Group, Stack, Text } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { Fragment } from "react";
import { words } from "../../../api/schema";
import { rich, t } from "../../../language/text";
import { State } from "../../../ui/State";
import { Time } from "../../../ui/Time";
import { Section } from "../../../ui/Section";
import { type Considered, type Explanation, lapse, name, place } from "./explanation";

const PAGES: Record<string, string> = { usr: "users", sva: "service-accounts", grp: "groups", org: "organizations", prj: "projects" };

/** The grants that were considered, each as a path from the principal to the item, nearest place first. */
export function AccessPath({ found, principal }: { found: Explanation; principal: string }) {
  const chain = [...found.chain].reverse();
  return (
    <Stack gap="lg">
      <Section title={t("Where grants apply")} note={t("A grant on a place also applies to everything below it.")}>
        <Group gap="xs">
          {chain.map((one, number) => (
            <Fragment key={one.id}>
              {number > 0 && <Text span c="dimmed" aria-hidden>→</Text>}
              <Node found={found} id={one.id} kind={one.kind} />
            </Fragment>
          ))}
        </Group>
      </Section>
      <Section title={t("Grants")} note={found.hidden ? t("There are other grants that you can't see.") : undefined}>
        {found.grants.length ? (
          <Stack gap="sm">{found.grants.map((grant) => <GrantPath key={`${grant.grant_id} ${grant.pattern}`} found={found} grant={grant} />)}</Stack>
        ) : (
          <Text size="sm" c="dimmed">{rich("{hidden} To allow it, <link>create a grant</link> for {found} or for a group.", { hidden: found.hidden ? t("There is no grant of this permission that you can see.") : t("No grant contains this permission."), link: (inside) => <Anchor component={Link} to="/admin/grants/new">{inside}</Anchor>, found: name(found, principal) })}</Text>
        )}
      </Section>
    </Stack>
  );
}

function GrantPath({ found, grant }: { found: Explanation; grant: Considered }) {
  const why = lapse(grant);
  const denies = grant.effect === "DENY";
  return (
    <Card withBorder padding="sm" style={grant.decides ? { borderColor: "var(--mantine-primary-color-filled)", borderWidth: 2 } : undefined}>
      <Group gap="xs">
        {grant.path.map((id, number) => (
          <Fragment key={id}>
            {number > 0 && <Text size="sm" c="dimmed">{t("is in")}</Text>}
            <Node found={found} id={id} />
          </Fragment>
        ))}
        <Text size="sm" c="dimmed">{denies ? t("is denied") : t("has")}</Text>
        <State color={denies ? "red" : "teal"}>{grant.role ?? grant.pattern}</State>
        <Text size="sm" c="dimmed">{t("on")}</Text>
        <Node found={found} id={grant.securable_id} kind={grant.securable_kind} />
      </Group>
      <Group gap="sm" mt={6}>
        {grant.decides && <State variant="filled" color={denies ? "red" : "teal"}>{t("Decides")}</State>}
        {why && <State color="orange">{why}</State>}
        {!why && !grant.decides && <State color="gray">{t("Holds, but another grant decides")}</State>}
        {grant.condition && <Text size="xs">{rich("If {condition}", { condition: <Code>{grant.condition}</Code> })}</Text>}
        {grant.expires_at && <Text size="xs" c="dimmed">{grant.expired ? t("Expired") : t("Expires")} <Time value={grant.expires_at} /></Text>}
        {grant.role && grant.pattern.includes(".") && <Text size="xs" c="dimmed">{rich("The role contains {pattern}", { pattern: <Code>{grant.pattern}</Code> })}</Text>}
        <Anchor component={Link} to={`/admin/grants/${grant.grant_id}`} size="xs">{t("Open the grant")}</Anchor>
      </Group>
    </Card>
  );
}

/** A principal or place, which is a link if the caller can see it. */
function Node({ found, id, kind }: { found: Explanation; id: string; kind?: string }) {
  const plural = PAGES[id.split("_")[0] ?? ""];
  const noun = kind?.split(".").at(-1) ?? { usr: t("user"), sva: t("service account"), grp: t("group") }[id.split("_")[0] ?? ""];
  if (id === "platform") return <Text size="sm" fw={600}>{t("Platform")}</Text>;
  return (
    <Text size="sm" component="span">
      {noun && <Text span c="dimmed">{words(noun)} </Text>}
      {plural && found.names[id] ? <Anchor component={Link} to={`/admin/${plural}/${id}`} fw={600}>{name(found, id)}</Anchor> : <Text span fw={600} title={place(found, id)}>{name(found, id)}</Text>}
    </Text>
  );
}
