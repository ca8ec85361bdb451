import { Anchor, Button, Group, List, Text, Title } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { BASE, get, send } from "../../../api/http";
import { OperationButton } from "../../../kernel/OperationButton";
import { Time } from "../../../ui/Time";
import { Trouble } from "../../../ui/Trouble";
import { versionNumber } from "./asset";
import type { Attestation } from "../../../api/generated/ai-catalog";
import { rich, t } from "../../../language/text";

const PATH = "/api/v1/ai-catalog/attestations";

/** The signed statements about a version, to download and to verify, and a button that signs another. */
export function Attestations({ id, version }: { id: string; version: string }) {
  const queries = useQueryClient();
  const key = ["items", "ai-catalog", "attestations", id];
  const found = useQuery({
    queryKey: key,
    queryFn: ({ signal }) => get<{ items: Attestation[] }>(PATH, { query: { filter: `asset == ${JSON.stringify(id)}`, page_size: 100 }, signal }),
    retry: false,
  });
  const sign = useMutation({
    mutationFn: () => send("POST", PATH, { body: { asset: id, version } }),
    onSuccess: () => queries.invalidateQueries({ queryKey: key }),
  });
  const items = found.data?.items.filter((one) => one.version === version) ?? [];
  return (
    <section aria-label={t("Attestations")}>
      <Title order={2} mb={4}>{t("Attestations of version {version}", { version: versionNumber(version) })}</Title>
      <Text size="sm" c="dimmed" mb="xs">{t("An attestation is a signed statement of the digest of the rows, the provenance, and the inputs. Anyone can verify it with the public key of the platform.")}</Text>
      {found.error && <Trouble error={found.error} />}
      {sign.error && <Trouble error={sign.error} />}
      <List size="sm" listStyleType="none" spacing={4}>
        {items.map((one) => (
          <List.Item key={one.id}>
            <Group gap="xs">
              <Text size="sm">{rich("Signed {time} by {created_by}", { time: <Time value={one.created_at} />, created_by: one.created_by })}</Text>
              <Anchor href={`${BASE}${PATH}/${one.id}/envelope`} download={`${id}@${versionNumber(version)}.dsse.json`} size="sm">{t("Download")}</Anchor>
              <OperationButton service="ai-catalog" plural="attestations" verb="verify" id={one.id} size="compact-xs" />
            </Group>
          </List.Item>
        ))}
      </List>
      <Button size="xs" variant="default" mt="xs" loading={sign.isPending} onClick={() => sign.mutate()}>{t("Sign an attestation")}</Button>
    </section>
  );
}
