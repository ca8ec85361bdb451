import { Button, Code, Group, Modal, Stack, Text, TextInput } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { type FormEvent, type ReactNode, useState } from "react";
import { rich, t } from "../language/text";
import { Trouble } from "./Trouble";

interface Props {
  opened: boolean;
  title: string;
  /** What happens, and what it affects. */
  children?: ReactNode;
  /** A text to type first, for what can't be undone. Usually the name of the item. */
  typed?: string;
  submit: string;
  danger?: boolean;
  run: () => Promise<unknown>;
  onClose: () => void;
}

type QuestionProps = Omit<Props, "opened" | "title" | "onClose"> & { onCancel: () => void; onDone?: () => void };

/** Asks before something happens, and shows why it failed. */
export function Confirm({ opened, title, onClose, ...rest }: Props) {
  return (
    <Modal opened={opened} onClose={onClose} title={title}>
      <Question {...rest} onCancel={onClose} onDone={onClose} />
    </Modal>
  );
}

/** The content of a confirmation, without its dialog. */
export function Question({ children, typed, submit, danger, run, onCancel, onDone }: QuestionProps) {
  const [text, setText] = useState("");
  const request = useMutation({ mutationFn: run, onSuccess: onDone });
  const onSubmit = (event: FormEvent) => {
    event.preventDefault();
    if (!typed || text === typed) request.mutate();
  };
  return (
    <form onSubmit={onSubmit}>
      <Stack gap="md">
        {typeof children === "string" ? <Text size="sm">{children}</Text> : children}
        {typed && (
          <TextInput
            label={rich("Type {typed} to confirm. This can't be undone.", { typed: <Code>{typed}</Code> })}
            value={text}
            onChange={(event) => setText(event.currentTarget.value)}
            autoComplete="off"
            spellCheck={false}
            data-autofocus
          />
        )}
        {request.error && <Trouble error={request.error} />}
        <Group justify="flex-end">
          <Button variant="default" onClick={onCancel}>{t("Cancel")}</Button>
          <Button type="submit" color={danger ? "red" : undefined} loading={request.isPending} disabled={Boolean(typed) && text !== typed} data-autofocus={typed ? undefined : true}>
            {submit}
          </Button>
        </Group>
      </Stack>
    </form>
  );
}
