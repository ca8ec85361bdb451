import { Button, Menu } from "@mantine/core";
import { asCurl, type Options } from "../api/http";
import { notice } from "../ui/notice";

/** Commands of `headwater` that show what a page shows. `ID` stands for the item. */
const LISTS: Record<string, string> = {
  "ai-catalog/assets": "headwater assets list",
  "ai-catalog/schedules": "headwater schedules",
  "admin/users": "headwater users",
  "operations/operations": "headwater runs",
};
const ITEMS: Record<string, string> = {
  "ai-catalog/assets": "headwater assets get ID",
  "operations/operations": "headwater logs ID",
};

export function commandOf(page: string, id?: string): string | undefined {
  if (id === undefined) return LISTS[page];
  return ITEMS[page]?.replace("ID", /^[\w.-]+$/.test(id) ? id : `'${id.replaceAll("'", "'\\''")}'`);
}

/** Copies what a page shows as a request or a command, for people who continue in a terminal. */
export function CopyAs({ path, query, page, id, size = "xs" }: { path: string; query?: Options["query"]; page: string; id?: string; size?: "xs" | "sm" }) {
  const command = commandOf(page, id);
  const copy = (text: string) => void navigator.clipboard.writeText(text).then(() => notice("Copied"));
  return (
    <Menu position="bottom-end">
      <Menu.Target><Button size={size} variant="default">Copy as</Button></Menu.Target>
      <Menu.Dropdown>
        <Menu.Item onClick={() => copy(asCurl("GET", path, { query }))}>curl</Menu.Item>
        {command && <Menu.Item onClick={() => copy(command)}>Command line</Menu.Item>}
        <Menu.Item onClick={() => copy(location.href)}>Link to this page</Menu.Item>
        {id && <Menu.Item onClick={() => copy(id)}>ID</Menu.Item>}
      </Menu.Dropdown>
    </Menu>
  );
}
