import { Anchor, Button, Code, Group, Skeleton, Stack, Table, Text, TextInput, Title } from "@mantine/core";
import { useInfiniteQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useState } from "react";
import { BASE, get } from "../../../api/http";
import { t } from "../../../language/text";
import { Time } from "../../../ui/Time";
import { Trouble } from "../../../ui/Trouble";
import type { Experiment } from "./experiments";
import { useSoon } from "../../../ui/useSoon";

export interface ExperimentsSearch {
  text?: string;
}

/** Experiments: collections of runs that answer one question. */
export function ExperimentsPage() {
  const search = useSearch({ from: "/experiments" });
  const navigate = useNavigate({ from: "/experiments" });
  const [typed, setTyped] = useState(search.text ?? "");
  const filter = search.text ? `spec.title.contains(${JSON.stringify(search.text)})` : "";
  const pages = useInfiniteQuery({
    queryKey: ["items", "ai-catalog", "experiments", "cards", filter],
    queryFn: ({ pageParam, signal }) => get<{ items: Experiment[]; next_page_token: string | null }>("/api/v1/ai-catalog/experiments", { query: { filter, page_size: 100, page_token: pageParam }, signal }),
    initialPageParam: "",
    getNextPageParam: (page) => page.next_page_token || undefined,
    retry: false,
  });
  const items = pages.data?.pages.flatMap((page) => page.items) ?? [];
  const later = useSoon((text: string) => void navigate({ search: { text: text.trim() || undefined }, replace: true }), 300);
  return (
    <Stack gap="md">
      <div>
        <Title order={1}>{t("Experiments")}</Title>
        <Text size="sm" c="dimmed">{t("Collections of runs that answer one question. Every training of the platform is a run.")}</Text>
      </div>
      <TextInput maw={320} aria-label={t("Find an experiment")} placeholder={t("Find an experiment")} value={typed} onChange={(event) => { setTyped(event.currentTarget.value); later(event.currentTarget.value); }} />
      {pages.error && <Trouble error={pages.error} retry={() => pages.refetch()} />}
      {pages.isPending && <Skeleton height={120} />}
      {items.length > 0 && (
        <Table.ScrollContainer minWidth={480}>
          <Table highlightOnHover verticalSpacing={6}>
            <Table.Thead><Table.Tr><Table.Th>{t("Experiment")}</Table.Th><Table.Th>{t("Question")}</Table.Th><Table.Th>{t("Created by")}</Table.Th><Table.Th>{t("Last change")}</Table.Th></Table.Tr></Table.Thead>
            <Table.Tbody>
              {items.map((one) => (
                <Table.Tr key={one.id}>
                  <Table.Td><Anchor size="sm" renderRoot={(props) => <Link {...props} to="/ai-catalog/experiments/$id" params={{ id: one.id }} search={{}} />}>{one.spec.title}</Anchor></Table.Td>
                  <Table.Td>{one.spec.description}</Table.Td>
                  <Table.Td>{one.created_by}</Table.Td>
                  <Table.Td><Time value={one.updated_at} /></Table.Td>
                </Table.Tr>
              ))}
            </Table.Tbody>
          </Table>
        </Table.ScrollContainer>
      )}
      {pages.isSuccess && !items.length && (search.text ? <Text c="dimmed" ta="center" py="xl">{t("No experiment has this in its name.")}</Text> : (
        <Stack gap="sm" py="xl" maw={640}>
          <Title order={2}>{t("Log your first run")}</Title>
          <Text size="sm">{t("There are no experiments that you can see. A training that the platform runs creates one, and so does a program that logs with MLflow:")}</Text>
          <Code block>{`mlflow.set_tracking_uri("${location.origin}${BASE}/mlflow")\nmlflow.set_experiment("My experiment")`}</Code>
          <Group><Button renderRoot={(props) => <Link {...props} to="/$service/$plural/new" params={{ service: "ai-catalog", plural: "experiments" }} />}>{t("Create an experiment")}</Button></Group>
        </Stack>
      ))}
      {pages.hasNextPage && <Button variant="default" loading={pages.isFetchingNextPage} onClick={() => pages.fetchNextPage()}>{t("Show more")}</Button>}
    </Stack>
  );
}
