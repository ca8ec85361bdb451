import { Button } from "@mantine/core";
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { send } from "../../../api/http";
import { t } from "../../../language/text";
import { Confirm } from "../../../ui/Confirm";

/** Cancels an operation. Everyone may cancel what they have started, and the platform decides about others. */
export function OperationCancel({ id }: { id: string }) {
  const queries = useQueryClient();
  const [asks, setAsks] = useState(false);
  const cancel = async () => {
    await send("POST", `/api/v1/operations/${encodeURIComponent(id)}:cancel`, { body: {} });
    await queries.invalidateQueries({ queryKey: ["item", "operations", "operations", id] });
  };
  return (
    <>
      <Button size="xs" color="red" variant="outline" onClick={() => setAsks(true)}>{t("Cancel operation")}</Button>
      <Confirm opened={asks} title={t("Cancel this operation?")} submit={t("Cancel operation")} danger run={cancel} onClose={() => setAsks(false)}>
        {t("Its runs are stopped, and the steps of a change are undone. Versions that its runs have written stay.")}
      </Confirm>
    </>
  );
}
