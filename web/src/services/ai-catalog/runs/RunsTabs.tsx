import { Tabs } from "@mantine/core";
import { useNavigate } from "@tanstack/react-router";
import { t } from "../../../language/text";

const PAGES = [
  { to: "/runs", label: t("Runs") },
  { to: "/ai-catalog/pipelines", label: t("Pipelines") },
  { to: "/runs/automation", label: t("Schedules and sensors") },
  { to: "/operations/operations", label: t("Operations") },
];

/** The pages about what runs, and when. */
export function RunsTabs({ active }: { active: string }) {
  const navigate = useNavigate();
  return (
    <Tabs value={active} onChange={(to) => to && void navigate({ to })} activateTabWithKeyboard={false}>
      <Tabs.List>
        {PAGES.map((page) => <Tabs.Tab key={page.to} value={page.to}>{page.label}</Tabs.Tab>)}
      </Tabs.List>
    </Tabs>
  );
}
