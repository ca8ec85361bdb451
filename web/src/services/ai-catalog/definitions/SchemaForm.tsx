import { Stack, Text } from "@mantine/core";
import { field, orderedFields } from "../../../api/schema";
import { Input } from "../../../fields/Input";
import { isObject } from "../../../fields/ObjectsInput";
import { Marked } from "../../../ui/Marked";
import type { Component } from "./definitions";
import type { Fault } from "./text";

interface Props {
  component: Component;
  attributes: Record<string, unknown>;
  faults: Fault[];
  onChange: (name: string, value: unknown) => void;
  /** Whether the id of the asset can change. It can't once the definition is stored. */
  isNew: boolean;
}

const FIRST = ["asset", "description"];

/** A form for the attributes of a component, drawn from their JSON Schema. */
export function SchemaForm({ component, attributes, faults, onChange, isNew }: Props) {
  const schemas = component.attributes.$defs ?? {};
  const rank = (name: string) => (FIRST.includes(name) ? FIRST.indexOf(name) : FIRST.length);
  const fields = orderedFields(component.attributes)
    .filter(([name]) => isNew || name !== "asset")
    .sort(([one], [other]) => rank(one) - rank(other));
  const found = Object.fromEntries(faults.map((fault) => [fault.pointer, fault.detail]));
  return (
    <Stack gap="md" maw={760}>
      <Text size="sm" c="dimmed" style={{ whiteSpace: "pre-line" }}><Marked text={component.description.replaceAll(/(?<!\n)\n(?!\n)/g, " ")} /></Text>
      {fields.map(([name, inner]) => {
        const pointer = `/attributes/${name}`;
        // An input that shows all of a value as one text shows the faults inside it too.
        const inside = faults.filter((fault) => fault.pointer.startsWith(`${pointer}/`));
        const declared = field(inner, schemas);
        const isWhole = ["json", "map", "list"].includes(declared.shape) && !isObject(declared.item, schemas) && !isObject(declared.schema, schemas) && inside.length > 0 && !found[pointer];
        const whole = isWhole ? { [pointer]: inside.map((fault) => `${fault.pointer.slice(pointer.length + 1)}: ${fault.detail}`).join(" ") } : {};
        return (
          <Input
            key={name}
            name={name}
            schema={inner}
            schemas={schemas}
            required={component.attributes.required?.includes(name) ?? false}
            value={attributes[name] ?? inner.default}
            onChange={(value) => onChange(name, value)}
            faults={{ ...whole, ...found }}
            pointer={pointer}
          />
        );
      })}
    </Stack>
  );
}
