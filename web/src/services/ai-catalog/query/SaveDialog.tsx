import { Button, Group, Modal, Select, Stack, Textarea, TextInput } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import type { SavedQuery, SavedQuerySpec as SavedSpec } from "../../../api/generated/ai-catalog";
import { Problem, send } from "../../../api/http";
import { t } from "../../../language/text";
import { Trouble } from "../../../ui/Trouble";
import { nameOf, PATH, projects } from "./saved";

interface Props {
  /** What is saved, besides its title. */
  spec: Omit<SavedSpec, "title" | "description">;
  initial: Pick<SavedSpec, "title" | "description">;
  onSaved: (id: string) => void;
  onClose: () => void;
}

/** Saves a statement with its chart in a project, whose members can then open it. */
export function SaveDialog({ spec, initial, onSaved, onClose }: Props) {
  const queries = useQueryClient();
  const known = useQuery(projects);
  const [title, setTitle] = useState(initial.title);
  const [description, setDescription] = useState(initial.description);
  const [chosen, setProject] = useState<string | null>(null);
  const project = chosen ?? (known.data?.length === 1 ? (known.data[0]?.id ?? null) : null);
  const saving = useMutation({
    mutationFn: () => send<SavedQuery>("POST", PATH, { body: { name: nameOf(title), project_id: project, spec: { ...spec, title, description } } }),
    onSuccess: ({ body }) => {
      void queries.invalidateQueries({ queryKey: ["items", "ai-catalog", "saved-queries"] });
      onSaved(body.id);
    },
  });
  const fault = (pointer: string) => (saving.error instanceof Problem ? saving.error.faults.find((one) => one.pointer === pointer)?.detail : undefined);
  return (
    <Modal opened onClose={onClose} title={t("Save query")}>
      <form onSubmit={(event) => { event.preventDefault(); saving.mutate(); }}>
        <Stack gap="sm">
          <TextInput label={t("Title")} data-autofocus required value={title} error={fault("/spec/title")} onChange={(event) => setTitle(event.currentTarget.value)} />
          <Textarea label={t("Description")} value={description} error={fault("/spec/description")} onChange={(event) => setDescription(event.currentTarget.value)} autosize />
          <Select
            label={t("Project")}
            description={t("Everyone who can see the project can open the query. They run it with their own rights.")}
            required
            searchable
            data={known.data?.map((one) => ({ value: one.id, label: one.spec.title || one.name })) ?? []}
            value={project}
            error={fault("/project_id")}
            onChange={setProject}
            nothingFoundMessage={t("There is no such project")}
          />
          {known.error && <Trouble error={known.error} retry={() => known.refetch()} />}
          {saving.error && <Trouble error={saving.error} />}
          <Group>
            <Button type="submit" loading={saving.isPending} disabled={!title.trim() || !project}>{t("Save")}</Button>
            <Button variant="default" onClick={onClose}>{t("Cancel")}</Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
