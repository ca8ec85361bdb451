import { Button, Menu } from "@mantine/core";
import { useRouterState } from "@tanstack/react-router";
import { asCurl } from "../api/http";
import { type Read, readsHere } from "../api/reads";
import { t } from "../language/text";
import { commandOf } from "./commands";
import { notice } from "./notice";

const MOST = 8;

/** Copies what the page shows as a request, a command, or a link, for people who continue elsewhere. */
export function CopyAs() {
  const { pathname, search } = useRouterState({ select: (state) => state.location });
  return (
    <Menu position="bottom-end" withinPortal>
      <Menu.Target><Button size="xs" variant="default">{t("Copy as")}</Button></Menu.Target>
      <Menu.Dropdown><Choices command={commandOf(pathname, search)} /></Menu.Dropdown>
    </Menu>
  );
}

/** Drawn when the menu opens, with what the page has read until then. */
function Choices({ command }: { command: string | undefined }) {
  const [first, ...others] = readsHere();
  const copy = (text: string) => void navigator.clipboard.writeText(text).then(() => notice(t("Copied")));
  const curl = (read: Read) => () => copy(asCurl(read.method, read.path, read));
  return (
    <>
      {first && <Menu.Item title={nameOf(first)} onClick={curl(first)}>{t("curl")}</Menu.Item>}
      {command && <Menu.Item title={command} onClick={() => copy(command)}>{t("Command line")}</Menu.Item>}
      <Menu.Item onClick={() => copy(location.href)}>{t("Link to this page")}</Menu.Item>
      {others.length > 0 && (
        <>
          <Menu.Label>{t("Other requests of this page, as curl")}</Menu.Label>
          {others.slice(0, MOST).map((read) => <Menu.Item key={nameOf(read)} ff="monospace" fz="xs" onClick={curl(read)}>{nameOf(read)}</Menu.Item>)}
        </>
      )}
    </>
  );
}

const nameOf = (read: Read): string => `${read.method} ${read.path.replace("/api/v1/", "")}`;
