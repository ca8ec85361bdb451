import { Code, Stack, Table, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import type { PermissionEntry } from "../../../api/generated/admin";
import { catalogues } from "../../../api/platform";
import { words } from "../../../api/schema";
import { byService } from "./permissions";

/** Permissions with what each of them allows, by service. */
export function PermissionList({ permissions, label, open = false }: { permissions: PermissionEntry[]; label: string; open?: boolean }) {
  const { data: found } = useQuery(catalogues);
  const title = (service: string) => found?.find((one) => one.service.replaceAll("-", "_") === service)?.title ?? words(service);
  return (
    <Stack gap="xs">
      {byService(permissions).map(([service, entries]) => (
        <details key={`${service} ${open}`} open={open}>
          <summary><Text span fw={600}>{title(service)}</Text> <Text span size="sm" c="dimmed">{entries.length.toLocaleString()}</Text></summary>
          <Table.ScrollContainer minWidth={480} scrollAreaProps={{ viewportProps: { tabIndex: 0, role: "region", "aria-label": `${label}: ${title(service)}` } }}>
            <Table verticalSpacing={2} aria-label={`${label}: ${title(service)}`}>
              <Table.Tbody>
                {entries.map((one) => (
                  <Table.Tr key={one.name}>
                    <Table.Td w="40%"><Code>{one.name}</Code></Table.Td>
                    <Table.Td>{one.summary}</Table.Td>
                  </Table.Tr>
                ))}
              </Table.Tbody>
            </Table>
          </Table.ScrollContainer>
        </details>
      ))}
    </Stack>
  );
}
