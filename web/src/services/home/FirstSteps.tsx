import { Anchor, Group, Paper, Stack, Text, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { rich, t } from "../../language/text";
import { assetQuery } from "../ai-catalog/asset/asset";
import { MaterializeButton } from "../ai-catalog/asset/Materialize";
import { found } from "./found";

/** The first step of a new platform: something to look at. It is gone when an asset has rows. */
export function FirstSteps() {
  const { data: fresh } = useQuery(found({ staleness: ["FRESH", "STALE"], page_size: 1 }));
  // The platform writes the mirror of its audit log by itself.
  const isEmpty = fresh?.facets.layer.every((one) => one.value === "audit") ?? false;
  const { data: missing } = useQuery({ ...found({ staleness: ["MISSING"], sort_by: "name" }), enabled: isEmpty });
  const first = missing?.items.find((one) => one.id.includes(".bronze.")) ?? missing?.items[0];
  const { data: asset } = useQuery({ ...assetQuery(first?.id ?? ""), enabled: Boolean(first) });
  if (!isEmpty || !missing) return null;
  return (
    <Paper component="section" withBorder p="md" aria-labelledby="first-steps">
      <Title order={2} id="first-steps" mb="xs">{t("First steps")}</Title>
      {first ? (
        <Stack gap="xs" align="flex-start">
          <Text size="sm">{t("There are {total, number} assets, and none has rows yet. Start with {id}.", { total: missing.total, id: first.id })}</Text>
          <Group>
            {asset && <MaterializeButton asset={asset} />}
            <Anchor component={Link} to={`/lineage?focus=${encodeURIComponent(first.id)}`} size="sm">{t("See what follows from it")}</Anchor>
          </Group>
        </Stack>
      ) : (
        <Text size="sm">
          {rich("There are no assets that you can see. <link>Define the first one</link>, or ask an owner of a project for a role.", { link: (inside) => <Anchor component={Link} to="/ai-catalog/definitions/new" size="sm" underline="always">{inside}</Anchor> })}
        </Text>
      )}
    </Paper>
  );
}
