import { Anchor, Breadcrumbs, Button, Group, Stack, Text, Title } from "@mantine/core";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { useState } from "react";
import { get, send } from "../../../api/http";
import { ReferenceInput } from "../../../fields/ReferenceInput";
import { t } from "../../../language/text";
import { Confirm } from "../../../ui/Confirm";
import { Trouble } from "../../../ui/Trouble";
import { many } from "../../../ui/quantities";
import { MoveEffect, type MovePreview } from "./MoveEffect";
import { MoveProgress } from "./MoveProgress";

interface Project {
  id: string;
  name: string;
  organization_id: string;
}

/** Moves a project to another organization, after it has shown what changes for whom. */
export function MovePage() {
  const { id = "" } = useParams({ strict: false });
  const { to, operation }: { to?: string; operation?: string } = useSearch({ strict: false });
  const navigate = useNavigate();
  const queries = useQueryClient();
  const [target, setTarget] = useState(to ?? "");
  const [asking, setAsking] = useState(false);
  const path = `/api/v1/admin/projects/${encodeURIComponent(id)}`;
  const project = useQuery({ queryKey: ["item", "admin", "projects", id, "move"], queryFn: ({ signal }) => get<Project>(path, { signal }), retry: false });
  const organization = useQuery({
    queryKey: ["item", "admin", "organizations", project.data?.organization_id, "move"],
    queryFn: ({ signal }) => get<Project>(`/api/v1/admin/organizations/${project.data?.organization_id}`, { signal }),
    enabled: Boolean(project.data),
    retry: false,
  });
  const preview = useQuery({
    queryKey: ["preview-move", id, to],
    queryFn: async ({ signal }) => (await send<MovePreview>("POST", `${path}:preview-move`, { body: { organization_id: to }, signal })).body,
    enabled: Boolean(to) && !operation,
    retry: false,
  });
  const name = project.data?.name ?? id;
  const here = `/admin/projects/${encodeURIComponent(id)}/move`;
  const move = async () => {
    const answer = await send<{ id: string }>("POST", `${path}:move`, { body: { organization_id: to } });
    void queries.invalidateQueries({ queryKey: ["items", "admin", "projects"] });
    void navigate({ to: here, search: { to, operation: answer.body.id } as never, replace: true });
  };
  return (
    <Stack gap="lg">
      <Breadcrumbs>
        <Anchor component={Link} to="/admin/projects" size="sm">{t("Projects")}</Anchor>
        <Anchor component={Link} to={`/admin/projects/${encodeURIComponent(id)}`} size="sm">{name}</Anchor>
        <Text size="sm">{t("Move")}</Text>
      </Breadcrumbs>
      <div>
        <Title order={1}>{t("Move {name} to another organization", { name })}</Title>
        <Text size="sm" c="dimmed">{t("{data}Everything in the project moves with it, and nothing can be created in it meanwhile.", { data: organization.data ? t("It is in {name} now. ", { name: organization.data.name }) : "" })}</Text>
      </div>
      {project.error && <Trouble error={project.error} retry={() => project.refetch()} />}
      {project.data && !operation && (
        <form onSubmit={(event) => { event.preventDefault(); void navigate({ to: here, search: { to: target } as never }); }}>
          <Group align="flex-end">
            <ReferenceInput label={t("Organization to move to")} kinds={["admin.organization"]} value={target} onChange={setTarget} />
            <Button type="submit" variant="default" disabled={!target.trim()} loading={preview.isFetching}>{t("Show what changes")}</Button>
          </Group>
        </form>
      )}
      {preview.error && <Trouble error={preview.error} retry={() => preview.refetch()} />}
      {preview.data && to && !operation && (
        <>
          <MoveEffect preview={preview.data} project={name} from={organization.data?.name ?? "the present organization"} to={to} />
          <Group>
            <Button onClick={() => setAsking(true)} disabled={!preview.data.movable}>{t("Move {name}", { name })}</Button>
          </Group>
          <Confirm opened={asking} onClose={() => setAsking(false)} title={t("Move {name} to {to}?", { name, to })} typed={name} submit={t("Move")} danger run={move}>
            {t("{count} revoked, and {count2}. A move back doesn't restore them.", { count: many(preview.data.revoked_keys.length, t("key is"), t("keys are")), count2: many(preview.data.lost_grants.length, t("grant ends"), t("grants end")) })}
          </Confirm>
        </>
      )}
      {operation && <MoveProgress id={operation} project={id} />}
    </Stack>
  );
}
