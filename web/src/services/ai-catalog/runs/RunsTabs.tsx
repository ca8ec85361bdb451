import { Tabs } from "@mantine/core";
import { useNavigate } from "@tanstack/react-router";

const PAGES = [
  { to: "/runs", label: "Runs" },
  { to: "/ai-catalog/pipelines", label: "Pipelines" },
  { to: "/runs/automation", label: "Schedules and sensors" },
  { to: "/operations/operations", label: "Operations" },
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
