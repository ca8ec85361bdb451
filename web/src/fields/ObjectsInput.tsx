import { Button, Fieldset, Group, Select, Stack, Text } from "@mantine/core";
import { useState } from "react";
import { field, orderedFields, resolved, type Schema, type Schemas, words } from "../api/schema";
import { isRecord } from "../kernel/values";
import { t } from "../language/text";
import { Input } from "./Input";

/** An object with more fields shows only those that are required or set. The others are added one by one. */
const FEW = 5;

interface Props {
  label: string;
  schema: Schema;
  schemas: Schemas;
  value: unknown;
  onChange: (value: unknown) => void;
  faults: Record<string, string>;
  pointer: string;
}

/** Schemas of objects by the value of the field that tells them apart, or nothing if the schema is no such choice. */
function choices(declared: Schema, schemas: Schemas): { tag: string; options: Record<string, Schema> } | null {
  const schema = resolved(declared, schemas);
  const { propertyName: tag, mapping } = schema.discriminator ?? {};
  if (!tag || !mapping) return null;
  return { tag, options: Object.fromEntries(Object.entries(mapping).map(([name, reference]) => [name, resolved({ $ref: reference }, schemas)])) };
}

/** Whether a form can draw the schema as an object, or as one of several kinds of objects. */
export function isObject(declared: Schema | undefined, schemas: Schemas): boolean {
  if (!declared) return false;
  return Boolean(resolved(declared, schemas).properties) || choices(declared, schemas) !== null;
}

/** The fields of one object. If there are several kinds of objects, the kind is chosen first. */
export function ObjectFields({ schema, schemas, value, onChange, faults, pointer }: Omit<Props, "label">) {
  const object = isRecord(value) ? value : {};
  const choice = choices(schema, schemas);
  const chosen = choice ? String(object[choice.tag] ?? "") : "";
  const declared = choice ? choice.options[chosen] : resolved(schema, schemas);
  const [added, setAdded] = useState<string[]>([]);
  const fields = declared ? orderedFields(declared).filter(([name]) => name !== choice?.tag) : [];
  const isShown = (name: string, inner: Schema) =>
    fields.length <= FEW || name in object || added.includes(name) || declared?.required?.includes(name) || resolved(inner, schemas).type === "boolean"
    || Object.keys(faults).some((place) => place.startsWith(`${pointer}/${name}`));
  const hidden = fields.filter(([name, inner]) => !isShown(name, inner));
  return (
    <Stack gap="sm">
      {choice && (
        <Select
          label={words(choice.tag)}
          data={Object.keys(choice.options)}
          value={chosen || null}
          error={faults[`${pointer}/${choice.tag}`]}
          withAsterisk
          allowDeselect={false}
          onChange={(picked) => onChange({ [choice.tag]: picked })}
        />
      )}
      {fields.filter(([name, inner]) => isShown(name, inner)).map(([name, inner]) => (
        <Input
          key={name}
          name={name}
          schema={inner}
          schemas={schemas}
          required={declared?.required?.includes(name) ?? false}
          value={object[name] ?? inner.default}
          onChange={(changed) => onChange(withField(object, name, changed))}
          faults={faults}
          pointer={`${pointer}/${name}`}
        />
      ))}
      {hidden.length > 0 && (
        <Select
          size="xs"
          maw={240}
          aria-label={t("Add a field")}
          placeholder={t("Add a field")}
          searchable
          value={null}
          data={hidden.map(([name]) => ({ value: name, label: words(name) }))}
          onChange={(name) => {
            if (!name) return;
            setAdded([...added, name]);
            // An object is drawn with its fields at once.
            const inner = declared?.properties?.[name];
            if (inner && field(inner, schemas).shape === "object") onChange({ ...object, [name]: {} });
          }}
        />
      )}
    </Stack>
  );
}

/** A list of objects, each with its fields. */
export function ObjectsInput({ label, schema, schemas, value, onChange, faults, pointer }: Props) {
  const items = Array.isArray(value) ? value : [];
  const one = label.replace(/s$/, "").toLowerCase();
  return (
    <Fieldset legend={label} data-pointer={pointer} tabIndex={-1}>
      <Stack gap="sm">
        {schema.description && <Text size="xs" c="dimmed">{schema.description}</Text>}
        {faults[pointer] && <Text size="sm" c="var(--mantine-color-error)" role="alert">{faults[pointer]}</Text>}
        {items.map((item, position) => (
          // Objects of a list have no identity of their own.
          <Fieldset key={position} variant="filled" legend={`${words(one)} ${position + 1}`}>
            {faults[`${pointer}/${position}`] && <Text size="sm" mb="xs" c="var(--mantine-color-error)" role="alert">{faults[`${pointer}/${position}`]}</Text>}
            <ObjectFields
              schema={schema.items as Schema}
              schemas={schemas}
              value={item}
              onChange={(changed) => onChange(items.map((other, number) => (number === position ? changed : other)))}
              faults={faults}
              pointer={`${pointer}/${position}`}
            />
            <Group justify="flex-end" mt="xs">
              <Button size="xs" variant="subtle" color="red" onClick={() => onChange(items.filter((_, number) => number !== position))}>
                {t("Remove {one} {position}", { one, position: position + 1 })}
              </Button>
            </Group>
          </Fieldset>
        ))}
        <Group><Button size="xs" variant="default" onClick={() => onChange([...items, {}])}>{t("Add {one}", { one })}</Button></Group>
      </Stack>
    </Fieldset>
  );
}

/** An object with another value of a field. An empty value removes the field. */
function withField(object: Record<string, unknown>, name: string, value: unknown): Record<string, unknown> {
  const { [name]: _, ...rest } = object;
  return value === undefined || value === null || value === "" ? rest : { ...rest, [name]: value };
}
