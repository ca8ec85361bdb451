import { Anchor, Group, PasswordInput, Stack } from "@mantine/core";
import type { Schema } from "../../api/schema";
import { words } from "../../api/schema";
import { Picker } from "../../fields/Picker";
import { t } from "../../language/text";
import type { ChosenSecret, ConfigField } from "./connections";

interface Props {
  field: ConfigField;
  /** The project whose secrets can be chosen. */
  project: string;
  value: ChosenSecret | undefined;
  error?: string;
  onChange: (value: ChosenSecret) => void;
}

/** A secret of a connection: a new value, or a secret of the project. */
export function SecretInput({ field, project, value, error, onChange }: Props) {
  const isStored = value !== undefined && "id" in value;
  const common = { label: words(field.name), description: (field.schema as Schema).description, error };
  return (
    <Stack gap={4} data-pointer={`/secrets/${field.name}`}>
      {isStored ? (
        <Picker {...common} kinds={["connections.secret"]} only={project ? `project_id == ${JSON.stringify(project)}` : undefined} value={value.id} required={field.required} onChange={(id) => onChange({ id })} />
      ) : (
        <PasswordInput {...common} withAsterisk={field.required} autoComplete="off" value={value?.value ?? ""} onChange={(event) => onChange({ value: event.currentTarget.value })} />
      )}
      <Group>
        <Anchor component="button" type="button" size="xs" onClick={() => onChange(isStored ? { value: "" } : { id: "" })}>
          {isStored ? t("Enter a value instead") : t("Use a secret of the project instead")}
        </Anchor>
      </Group>
    </Stack>
  );
}
