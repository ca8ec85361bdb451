import { ActionIcon, Button, Fieldset, Group, JsonInput, NumberInput, Select, Stack, Switch, TagsInput, Text, Textarea, TextInput } from "@mantine/core";
import { type ReactNode, useState } from "react";
import { field, orderedFields, resolved, type Schema, type Schemas, words } from "../api/schema";
import { isRecord } from "../kernel/values";
import { t } from "../language/text";
import { Marked } from "../ui/Marked";
import { isObject, ObjectFields, ObjectsInput } from "./ObjectsInput";
import { ReferenceInput } from "./ReferenceInput";

interface Props {
  name: string;
  schema: Schema;
  schemas: Schemas;
  required: boolean;
  value: unknown;
  onChange: (value: unknown) => void;
  /** Error texts by JSON pointer, and the pointer of this field. */
  faults: Record<string, string>;
  pointer: string;
}

/** An input for a value of a schema. The server validates: its faults are shown at their fields. */
export function Input({ name, schema, schemas, required, value, onChange, faults, pointer }: Props) {
  const declared = field(schema, schemas);
  const label = words(name);
  const common = {
    label,
    description: declared.schema.description && <Marked text={declared.schema.description} />,
    error: faults[pointer],
    withAsterisk: required && !declared.nullable,
    "data-pointer": pointer,
  };
  const text = typeof value === "string" ? value : "";
  switch (declared.shape) {
    case "text": {
      const change = (entered: string) => onChange(entered === "" && declared.nullable ? null : entered);
      if (declared.refersTo.length) {
        return <ReferenceInput {...common} kinds={declared.refersTo} value={text} onChange={change} />;
      }
      if ((declared.schema.maxLength ?? 0) > 500) {
        return <Textarea {...common} autosize minRows={2} maxRows={16} value={text} onChange={(event) => change(event.currentTarget.value)} />;
      }
      return <TextInput {...common} value={text} onChange={(event) => change(event.currentTarget.value)} />;
    }
    case "choice": {
      const options = (declared.schema.enum ?? []).filter((one) => one !== null).map(String);
      return <Select {...common} data={options} value={text || null} clearable={declared.nullable} onChange={(chosen) => onChange(chosen)} />;
    }
    case "number":
      return (
        <NumberInput
          {...common}
          value={typeof value === "number" ? value : ""}
          min={declared.schema.minimum}
          max={declared.schema.maximum}
          allowDecimal={declared.schema.type === "number"}
          onChange={(entered) => onChange(entered === "" ? null : entered)}
        />
      );
    case "boolean":
      return <Switch label={label} description={common.description} error={common.error} data-pointer={pointer} checked={value === true} onChange={(event) => onChange(event.currentTarget.checked)} />;
    case "list":
      return <TagsInput {...common} value={Array.isArray(value) ? value.map(String) : []} onChange={onChange} />;
    case "map":
      return <MapInput {...common} value={isRecord(value) ? value : {}} onChange={onChange} />;
    case "object": {
      const object = isRecord(value) ? value : {};
      if (declared.nullable && !isRecord(value)) {
        return <Group><Button size="xs" variant="default" onClick={() => onChange({})} title={declared.schema.description}>{t("Add {label}", { label: label.toLowerCase() })}</Button></Group>;
      }
      return (
        <Fieldset legend={name === "spec" ? t("Settings") : label}>
          <Stack gap="sm">
            {orderedFields(declared.schema).map(([inner, innerSchema]) => (
              <Input
                key={inner}
                name={inner}
                schema={innerSchema}
                schemas={schemas}
                required={declared.schema.required?.includes(inner) ?? false}
                value={object[inner]}
                onChange={(changed) => onChange({ ...object, [inner]: changed })}
                faults={faults}
                pointer={`${pointer}/${inner}`}
              />
            ))}
            {declared.nullable && <Group><Button size="xs" variant="subtle" color="red" onClick={() => onChange(null)}>{t("Remove {label}", { label: label.toLowerCase() })}</Button></Group>}
          </Stack>
        </Fieldset>
      );
    }
    default: {
      if (declared.schema.type === "array" && isObject(declared.schema.items, schemas)) {
        return <ObjectsInput {...{ label, schemas, value, onChange, faults, pointer }} schema={declared.schema} />;
      }
      if (isObject(declared.schema, schemas)) {
        return <Fieldset legend={label}><ObjectFields {...{ schemas, value, onChange, faults, pointer }} schema={declared.schema} /></Fieldset>;
      }
      // A text is the common one of several shapes. The others are entered as JSON.
      const asText = (declared.schema.anyOf ?? []).some((one) => resolved(one, schemas).type === "string");
      if (asText && (value === undefined || value === null || typeof value === "string")) {
        return <Textarea {...common} autosize minRows={3} maxRows={24} styles={{ input: { fontFamily: "var(--mantine-font-family-monospace)" } }} spellCheck={false} value={text} onChange={(event) => onChange(event.currentTarget.value)} />;
      }
      return <Json {...common} value={value} onChange={onChange} />;
    }
  }
}

interface JsonProps {
  label: string;
  description?: ReactNode;
  error?: string;
  value: unknown;
  onChange: (value: unknown) => void;
}

function Json({ value, onChange, error, ...common }: JsonProps) {
  const [text, setText] = useState(() => (value === undefined ? "" : JSON.stringify(value, null, 2)));
  const [invalid, setInvalid] = useState(false);
  return (
    <JsonInput
      {...common}
      error={invalid ? t("This is not valid JSON.") : error}
      autosize
      minRows={2}
      maxRows={16}
      value={text}
      onChange={(entered) => {
        setText(entered);
        try {
          onChange(entered.trim() ? JSON.parse(entered) : undefined);
          setInvalid(false);
        } catch {
          setInvalid(true);
        }
      }}
    />
  );
}

interface MapProps {
  label: string;
  description?: ReactNode;
  error?: string;
  value: Record<string, unknown>;
  onChange: (value: Record<string, unknown>) => void;
}

function MapInput({ label, description, error, value, onChange }: MapProps) {
  const entries = Object.entries(value);
  const put = (position: number, key: string, text: string) =>
    onChange(Object.fromEntries(entries.map((entry, number) => (number === position ? [key, text] : entry))));
  return (
    <Fieldset legend={label}>
      <Stack gap="xs">
        {description && <Text size="xs" c="dimmed">{description}</Text>}
        {error && <span role="alert">{error}</span>}
        {entries.map(([key, text], position) => (
          <Group key={position} gap="xs" wrap="nowrap">
            <TextInput aria-label={t("{label}: key", { label })} value={key} onChange={(event) => put(position, event.currentTarget.value, String(text))} />
            <TextInput aria-label={t("{label}: value of {key}", { label, key })} flex={1} value={String(text)} onChange={(event) => put(position, key, event.currentTarget.value)} />
            <ActionIcon
              variant="subtle"
              color="gray"
              aria-label={t("Remove {key}", { key })}
              onClick={() => onChange(Object.fromEntries(entries.filter((_, number) => number !== position)))}
            >
              ×
            </ActionIcon>
          </Group>
        ))}
        <ActionIcon variant="default" aria-label={t("Add to {label}", { label })} onClick={() => onChange({ ...value, "": "" })}>
          +
        </ActionIcon>
      </Stack>
    </Fieldset>
  );
}
