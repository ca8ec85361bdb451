import { Button, Group, Modal, Stack, Text } from "@mantine/core";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { type Answer, send } from "../api/http";
import { type KindEntry, openApi, type OperationEntry, pathOf } from "../api/platform";
import { t } from "../language/text";
import { Question } from "../ui/Confirm";
import { notice, type NoticeAction } from "../ui/notice";
import { Affected } from "./Affected";
import { Fields } from "./Fields";
import { bodySchema, hasOwnAnswer, isDestructive, isFinal, label, restoring } from "./operations";
import { RequestForm } from "./RequestForm";
import { mergePatch } from "./values";

export interface OperationTarget {
  service: string;
  kind: KindEntry;
  id: string;
  /** The item as it was read. A change starts with it. */
  item?: Record<string, unknown>;
  etag?: string;
}

interface Props extends OperationTarget {
  operation: OperationEntry | null;
  /** Values that the form starts with. */
  initial?: Record<string, unknown>;
  onClose: () => void;
  onDone?: (operation: OperationEntry, answer: Record<string, unknown>) => void;
}

/** The dialog of an operation on an item: a form for its fields, or a confirmation if it has none. */
export function OperationDialog({ operation, onClose, ...rest }: Props) {
  const [answer, setAnswer] = useState<Record<string, unknown> | null>(null);
  const close = () => {
    setAnswer(null);
    onClose();
  };
  return (
    <Modal opened={operation !== null} onClose={close} title={operation?.summary} size="xl">
      {operation && <Content key={operation.operation_id} {...rest} operation={operation} answer={answer} onAnswer={setAnswer} onClose={close} />}
    </Modal>
  );
}

interface ContentProps extends Omit<Props, "operation"> {
  operation: OperationEntry;
  answer: Record<string, unknown> | null;
  onAnswer: (answer: Record<string, unknown>) => void;
}

function Content({ service, kind, id, operation, initial, answer, onAnswer, onClose, onDone, ...read }: ContentProps) {
  // What the user sees is what is changed: a version that arrives meanwhile must not lend its etag to it.
  const [{ item, etag }] = useState(read);
  const { data: document } = useQuery(openApi(service));
  const queries = useQueryClient();
  const navigate = useNavigate();
  if (!document) return null;
  const schemas = document.components.schemas;
  const schema = bodySchema(document, operation);
  const names = Object.keys(schema.properties ?? {});
  const path = pathOf(operation, id);
  const before = item ? Object.fromEntries(names.filter((name) => name in item).map((name) => [name, item[name]])) : {};
  const isUpdate = operation.method === "PATCH";
  // An operation that knows no versions refuses the header.
  const declared = document.paths[operation.path]?.[operation.method.toLowerCase()]?.parameters ?? [];
  const knowsVersions = declared.some((one) => one.name === "If-Match");
  const guarded = knowsVersions && (isUpdate || operation.method === "DELETE") ? etag : undefined;
  const done = (body: Record<string, unknown>) => {
    void queries.invalidateQueries({ queryKey: ["items", service, kind.plural] });
    if (operation.method !== "DELETE") void queries.invalidateQueries({ queryKey: ["item", service, kind.plural, id] });
    const running: NoticeAction = { label: t("Show progress"), run: () => void navigate({ to: `/operations/operations/${encodeURIComponent(String(body.id))}` }) };
    const restore = operation.method === "DELETE" ? restoring(kind) : undefined;
    const undo = restore && { label: t("Undo"), run: () => void undelete(restore) };
    notice(operation.long ? t("{operation}: started", { operation: label(operation) }) : t("{operation}: done", { operation: label(operation) }), operation.long && body.id ? running : undo);
    onDone?.(operation, body);
    if (hasOwnAnswer(kind, operation) && Object.keys(body).length) onAnswer(body);
    else onClose();
  };
  const undelete = async (restore: OperationEntry) => {
    await send("POST", pathOf(restore, id), { body: {} });
    void queries.invalidateQueries({ queryKey: ["items", service, kind.plural] });
    notice(t("Restored"), { label: t("Open"), run: () => void navigate({ to: `/${service}/${kind.plural}/${encodeURIComponent(id)}` }) });
  };
  const answered = schemas[operation.result ?? ""];
  if (answer && answered) {
    return (
      <Stack>
        <Fields item={answer} schema={answered} schemas={schemas} />
        <Group justify="flex-end"><Button onClick={onClose}>{t("Close")}</Button></Group>
      </Stack>
    );
  }
  const name = String(item?.name ?? id);
  if (!names.length) {
    const request = async () => done((await send<Record<string, unknown>>(operation.method, path, { body: operation.request ? {} : undefined, etag: guarded })).body);
    return (
      <Question
        submit={label(operation)}
        danger={isDestructive(operation)}
        typed={isFinal(kind, operation) ? String(item?.name ?? operation.verb) : undefined}
        run={request}
        onCancel={onClose}
      >
        <Text size="sm">{operation.summary} <b>{name}</b></Text>
        {isDestructive(operation) && <Affected kind={kind} id={id} />}
      </Question>
    );
  }
  return (
    <RequestForm
      method={operation.method}
      path={path}
      schema={schema}
      schemas={schemas}
      initial={isUpdate ? before : initial}
      body={isUpdate ? (values) => mergePatch(before, values) : undefined}
      etag={guarded}
      submit={isUpdate ? t("Save") : label(operation)}
      danger={isDestructive(operation)}
      onDone={(answer: Answer<Record<string, unknown>>) => done(answer.body)}
      onCancel={onClose}
    />
  );
}
