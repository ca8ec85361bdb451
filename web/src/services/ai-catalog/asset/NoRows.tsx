import { Group, Stack, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Problem } from "../../../api/http";
import { t } from "../../../language/text";
import { Trouble } from "../../../ui/Trouble";
import { assetPage, assetQuery } from "./asset";
import { PageButton } from "../../../ui/PageLink";

/** Why a page can't show rows: there are none yet, or the reader has no right to them, with the way to get it. */
export function NoRows({ id, error, retry }: { id: string; error: unknown; retry?: () => void }) {
  const { data: asset } = useQuery(assetQuery(id));
  const status = error instanceof Problem ? error.status : 0;
  if (status === 404 && asset && !asset.data_version) {
    return <Text c="dimmed">{t("This asset has no version yet. {executable}", { executable: asset.executable ? t("Materialize it to make the first one.") : t("Another system writes it.") })}</Text>;
  }
  return (
    <Stack gap="sm">
      <Trouble error={error} retry={retry} />
      {status === 403 && <Group><PageButton to={assetPage(id)} search={{ tab: "access" }} variant="default" size="xs">{t("See what is missing, and ask for access")}</PageButton></Group>}
    </Stack>
  );
}
