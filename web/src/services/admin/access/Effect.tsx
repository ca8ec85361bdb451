import { List, Skeleton, Stack, Text } from "@mantine/core";
import { type UseQueryResult, useQuery } from "@tanstack/react-query";
import type { Pair, Simulation } from "../../../api/generated/admin";
import { catalogues } from "../../../api/platform";
import { nameOf, targetOf } from "../../../api/references";
import { t } from "../../../language/text";
import { Trouble } from "../../../ui/Trouble";
import { PRINCIPALS } from "../../../fields/Picker";
import { Section } from "../../../ui/Section";
import { shares } from "./effect";

interface Props {
  title: string;
  verb: "gains" | "loses";
  found: UseQueryResult<Simulation>;
  pairs: Pair[] | undefined;
  /** What to say if nobody gains or loses anything. */
  none: string;
}

const MOST = 20;

/** Who gains or loses which permissions by a change of grants. */
export function Effect({ title, verb, found, pairs, none }: Props) {
  if (found.error) return <Trouble error={found.error} retry={() => found.refetch()} />;
  if (!pairs) return <Skeleton height={60} />;
  const every = shares(pairs);
  return (
    <Section title={title}>
      {!every.length && <Text size="sm" c="dimmed">{none}</Text>}
      <Stack gap="xs">
        {every.slice(0, MOST).map(({ principal, permissions, kinds }) => (
          <details key={principal}>
            <summary>
              <Name id={principal} /> {verb} {permissions.toLocaleString()} {t("{permissions, plural, one {permission} other {permissions}}", { permissions })}
            </summary>
            <List size="sm" pl="md" listStyleType="none">
              {kinds.map(({ kind, verbs }) => <List.Item key={kind}><b>{kind}</b>: {verbs.join(", ")}</List.Item>)}
            </List>
          </details>
        ))}
      </Stack>
      {every.length > MOST && <Text size="sm" c="dimmed">{t("And {count, number} others.", { count: every.length - MOST })}</Text>}
    </Section>
  );
}

/** A name that is no link, because it is part of what opens the details. */
function Name({ id }: { id: string }) {
  const { data: found } = useQuery(catalogues);
  const { data: name } = useQuery(nameOf(found && targetOf(found, PRINCIPALS, id), id));
  return <b>{name ?? id}</b>;
}
