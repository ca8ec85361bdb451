import { Button, Stack } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import type { FormEvent, ReactNode } from "react";
import { Trouble } from "../../../ui/Trouble";

interface Props {
  children?: ReactNode;
  submit: string;
  quiet?: boolean;
  run: () => Promise<unknown>;
}

/** One step of a change of an account: its fields, why it failed, and its button. */
export function Steps({ children, submit, quiet, run }: Props) {
  const request = useMutation({ mutationFn: run });
  const onSubmit = (event: FormEvent) => {
    event.preventDefault();
    request.mutate();
  };
  return (
    <form onSubmit={onSubmit} noValidate>
      <Stack gap="sm" align="flex-start" maw={480}>
        {children}
        {request.error && <Trouble error={request.error} />}
        <Button type="submit" variant={quiet ? "default" : "filled"} loading={request.isPending}>{submit}</Button>
      </Stack>
    </form>
  );
}
