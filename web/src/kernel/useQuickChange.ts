import { useQueryClient } from "@tanstack/react-query";
import { type Answer, Problem, send } from "../api/http";
import { answerKey, type KindEntry, type OperationEntry, pathOf } from "../api/platform";
import { t } from "../language/text";
import { notice } from "../ui/notice";
import { isRecord } from "./values";

type Item = Record<string, unknown>;

/** Changes an item at once on the page and then on the platform, and offers to undo it. */
export function useQuickChange(service: string, kind: KindEntry, updating: OperationEntry | undefined, id: string) {
  const queries = useQueryClient();
  const key = answerKey(service, kind.plural, id);
  const change = async (patch: Item, undo: Item | null, said: string): Promise<void> => {
    if (!updating) return;
    await queries.cancelQueries({ queryKey: key });
    const before = queries.getQueryData<Answer<Item>>(key);
    if (!before) return;
    queries.setQueryData<Answer<Item>>(key, { ...before, body: merged(before.body, patch) });
    try {
      const answer = await send<Item>("PATCH", pathOf(updating, id), { body: patch, etag: before.etag });
      queries.setQueryData<Answer<Item>>(key, { body: answer.body, etag: String(answer.body.etag ?? answer.etag) });
      void queries.invalidateQueries({ queryKey: ["items", service, kind.plural] });
      notice(said, undo ? { label: t("Undo"), run: () => void change(undo, null, t("Undone")) } : undefined);
    } catch (error) {
      queries.setQueryData(key, before);
      void queries.invalidateQueries({ queryKey: key });
      notice(t("Not changed: {message}", { message: error instanceof Problem ? error.message : t("the platform didn't respond.") }));
    }
  };
  return change;
}

/** A value after a merge patch. */
export function merged(before: Item, patch: Item): Item {
  const after = { ...before };
  for (const [name, value] of Object.entries(patch)) {
    const old = before[name];
    if (value === null) delete after[name];
    else after[name] = isRecord(value) ? merged(isRecord(old) ? old : {}, value) : value;
  }
  return after;
}
