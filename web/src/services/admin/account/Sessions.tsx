import { Button, Table, Text, Title } from "@mantine/core";
import { useRef } from "react";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import type { Session, SessionPage } from "../../../api/generated/admin";
import { get, send } from "../../../api/http";
import { t } from "../../../language/text";
import { notice } from "../../../ui/notice";
import { Time } from "../../../ui/Time";
import { Trouble } from "../../../ui/Trouble";

const PATH = "/api/v1/admin/sessions";
const KEY = ["sessions"];

/** The sessions of the user. Each other one can be ended. */
export function Sessions({ current }: { current: string }) {
  const queries = useQueryClient();
  const heading = useRef<HTMLHeadingElement>(null);
  const found = useQuery({ queryKey: KEY, queryFn: ({ signal }) => get<SessionPage>(PATH, { query: { page_size: 100 }, signal }) });
  const end = useMutation({
    mutationFn: (one: Session) => send("DELETE", `${PATH}/${one.id}`),
    onSuccess: (_, one) => {
      notice(t("The {label} was ended.", { label: one.label }));
      heading.current?.focus();
      return queries.invalidateQueries({ queryKey: KEY });
    },
  });
  const error = found.error ?? end.error;
  return (
    <section aria-labelledby="sessions">
      <Title order={2} id="sessions" mb="sm" ref={heading} tabIndex={-1}>{t("Logins")}</Title>
      {error && <Trouble error={error} />}
      <Table.ScrollContainer minWidth={340}>
        <Table verticalSpacing={4}>
          <Table.Thead><Table.Tr><Table.Th>{t("Login")}</Table.Th><Table.Th>{t("Since")}</Table.Th><Table.Th>{t("Ends")}</Table.Th><Table.Td /></Table.Tr></Table.Thead>
          <Table.Tbody>
            {found.data?.items.map((one) => (
              <Table.Tr key={one.id}>
                <Table.Td>{one.label}</Table.Td>
                <Table.Td><Time value={one.created_at} /></Table.Td>
                <Table.Td><Time value={one.expires_at} /></Table.Td>
                <Table.Td ta="right">
                  {one.id === current
                    ? <Text size="sm" c="dimmed">{t("this one")}</Text>
                    : <Button size="xs" variant="default" aria-label={t("End the {label}", { label: one.label })} onClick={() => end.mutate(one)}>{t("End")}</Button>}
                </Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </Table.ScrollContainer>
      {found.data?.next_page_token && <Text size="sm" c="dimmed">{t("The 100 newest are shown.")}</Text>}
    </section>
  );
}
