import { Alert, Button, Group, Stack, Text } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { type Answer, asCurl, type Options, Problem, send } from "../api/http";
import { field, orderedFields, type Schema, type Schemas } from "../api/schema";
import { Input } from "../fields/Input";
import { t } from "../language/text";
import { Trouble } from "../ui/Trouble";
import { defaults } from "./values";

interface Props {
  method: string;
  path: string;
  schema: Schema;
  schemas: Schemas;
  initial?: Record<string, unknown>;
  etag?: string;
  submit: string;
  /** Reduces the entered values to what the request contains. By default all of them. */
  body?: (values: Record<string, unknown>) => Record<string, unknown>;
  danger?: boolean;
  onDone: (answer: Answer<Record<string, unknown>>) => void;
  onCancel: () => void;
}

/** A form for the body of a request. The server validates, and its faults are shown at their fields. */
export function RequestForm({ method, path, schema, schemas, initial, etag, submit, body, danger, onDone, onCancel }: Props) {
  const declared = field(schema, schemas).schema;
  const properties = orderedFields(declared);
  const [values, setValues] = useState<Record<string, unknown>>(() => ({ ...defaults(declared, schemas), ...initial }));
  const options = (): Options => ({ body: body ? body(values) : values, etag });
  const request = useMutation({
    mutationFn: () => send<Record<string, unknown>>(method, path, options()),
    onSuccess: onDone,
    onError: (error) => {
      const pointer = error instanceof Problem ? error.faults[0]?.pointer : undefined;
      if (pointer) requestAnimationFrame(() => document.querySelector<HTMLElement>(`[data-pointer="${CSS.escape(pointer)}"]`)?.focus());
    },
  });
  const problem = request.error instanceof Problem ? request.error : null;
  const faults = Object.fromEntries(problem?.faults.map((fault) => [fault.pointer, fault.detail]) ?? []);
  const unplaced = problem?.faults.filter((fault) => !properties.some(([name]) => fault.pointer.startsWith(`/${name}`))) ?? [];
  const onSubmit = (event: FormEvent) => {
    event.preventDefault();
    request.mutate();
  };
  return (
    <form onSubmit={onSubmit} noValidate>
      <Stack gap="md" maw={720}>
        {properties.map(([name, inner]) => (
          <Input
            key={name}
            name={name}
            schema={inner}
            schemas={schemas}
            required={declared.required?.includes(name) ?? false}
            value={values[name]}
            onChange={(changed) => setValues((before) => ({ ...before, [name]: changed }))}
            faults={faults}
            pointer={`/${name}`}
          />
        ))}
        {!properties.length && declared.description && <Text size="sm">{declared.description}</Text>}
        {request.error && (unplaced.length || !problem?.faults.length) && <Trouble error={request.error} />}
        {unplaced.length > 0 && (
          <Alert color="red" variant="light">
            {unplaced.map((fault) => <Text key={fault.pointer} size="sm">{fault.pointer}: {fault.detail}</Text>)}
          </Alert>
        )}
        <Group>
          <Button type="submit" color={danger ? "red" : undefined} loading={request.isPending}>{submit}</Button>
          <Button variant="default" onClick={onCancel}>{t("Cancel")}</Button>
          <Button variant="subtle" color="gray" onClick={() => navigator.clipboard.writeText(asCurl(method, path, options()))}>
            {t("Copy as curl")}
          </Button>
        </Group>
      </Stack>
    </form>
  );
}
