import { Anchor, Code, Group, Text } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import type { Grant } from "../../../api/generated/admin";
import { Reference } from "../../../fields/Reference";
import { rich, t } from "../../../language/text";
import { State } from "../../../ui/State";
import { Time } from "../../../ui/Time";
import { PRINCIPALS } from "../../../fields/Picker";
import { Rows } from "../../../ui/Rows";
import { RevokeGrant } from "./RevokeGrant";

interface Props {
  grants: Grant[];
  empty: string;
  /** The column that says the same in each row of this page. */
  without?: Column;
}

const COLUMNS = { who: t("Who"), right: t("Role or permission"), where: t("Where"), until: t("Until"), by: t("Given by"), do: t("Do") };
type Column = keyof typeof COLUMNS;

/** Grants: who has which role where, until when, and who gave it. */
export function GrantTable({ grants, empty, without }: Props) {
  const hidden = without ? Object.keys(COLUMNS).indexOf(without) : -1;
  const shown = <Value,>(values: Value[]) => values.filter((_, number) => number !== hidden);
  return (
    <Rows
      label={t("Grants")}
      empty={empty}
      columns={shown(Object.values(COLUMNS))}
      rows={grants.map((grant) => ({
        id: grant.id,
        cells: shown([
          <Reference key="who" id={grant.principal_id} kinds={PRINCIPALS} compact />,
          <Group key="right" gap={4} wrap="nowrap">
            {grant.effect === "DENY" && <State color="red" miw="max-content">{t("Denied")}</State>}
            {grant.role_id ? <Reference id={grant.role_id} kinds={["admin.role"]} compact /> : <Code>{grant.permission}</Code>}
            {grant.condition && <Text size="xs">{rich("if {condition}", { condition: <Code>{grant.condition}</Code> })}</Text>}
          </Group>,
          <Reference key="where" id={grant.securable_id} kinds={grant.securable_kind === "platform" ? [] : [grant.securable_kind]} compact />,
          grant.expires_at ? <Text key="until" size="sm" span>{Date.parse(grant.expires_at) < Date.now() && t("Expired ")}<Time value={grant.expires_at} /></Text> : t("No end"),
          <Text key="by" size="sm" span><GivenBy name={grant.created_by} />, <Time value={grant.created_at} /></Text>,
          <Group key="do" gap={8} wrap="nowrap">
            <Anchor component={Link} to={`/admin/grants/${grant.id}`} size="sm">{t("Open")}</Anchor>
            <RevokeGrant grant={grant} />
          </Group>,
        ]),
      }))}
    />
  );
}

/** Grants that follow the claims of a login name their identity provider. */
function GivenBy({ name }: { name: string }) {
  const provider = name.startsWith("identity-provider:") ? name.slice("identity-provider:".length) : "";
  return provider ? <Reference id={provider} kinds={["admin.identity_provider"]} compact /> : <>{name}</>;
}
