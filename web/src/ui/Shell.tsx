import { Anchor, AppShell, Burger, Button, Group, Kbd, NavLink, ScrollArea, useMantineColorScheme } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { Spotlight, spotlight, type SpotlightActionGroupData } from "@mantine/spotlight";
import { useQuery } from "@tanstack/react-query";
import { Link, Outlet, useNavigate, useRouterState } from "@tanstack/react-router";
import { BASE, send } from "../api/http";
import { catalogues, method, session } from "../api/platform";
import { words } from "../api/schema";
import { Trouble } from "./Trouble";

/** Pages that are made by hand, because a task of users needs more than what the catalog draws. */
const PAGES = [
  { to: "/lineage", label: "Lineage", description: "The graph of assets" },
  { to: "/query", label: "Query", description: "SQL over the lakehouse" },
];

/** The frame of all pages: navigation from the catalogue of kinds, the command palette, and the account. */
export function Shell() {
  const [open, { toggle, close }] = useDisclosure(false);
  const found = useQuery(catalogues);
  const { data: current } = useQuery(session);
  const { pathname } = useRouterState({ select: (state) => state.location });
  const navigate = useNavigate();
  const { setColorScheme, colorScheme } = useMantineColorScheme();
  const services = (found.data ?? []).filter((service) => service.items.some((kind) => method(kind, "list")));
  const pages = PAGES.map((page) => ({ id: page.to, label: page.label, description: page.description, onClick: () => void navigate({ to: page.to }) }));
  const ofServices: SpotlightActionGroupData[] = services.map((service) => ({
    group: service.title,
    actions: service.items.flatMap((kind) => {
      const to = `/${service.service}/${kind.plural}`;
      const go = (path: string) => () => void navigate({ to: path });
      return [
        ...(method(kind, "list") ? [{ id: to, label: words(kind.plural), description: kind.description, onClick: go(to) }] : []),
        ...(method(kind, "create") ? [{ id: `${to}/new`, label: `Create ${kind.title.toLowerCase()}`, onClick: go(`${to}/new`) }] : []),
      ];
    }),
  }));
  const commands: SpotlightActionGroupData[] = [{ group: "Pages", actions: pages }, ...ofServices];
  return (
    <AppShell header={{ height: 48 }} navbar={{ width: 232, breakpoint: "sm", collapsed: { mobile: !open } }} padding="md">
      <AppShell.Header px="md">
        <Group h="100%" justify="space-between" wrap="nowrap">
          <Group gap="sm" wrap="nowrap">
            <Burger opened={open} onClick={toggle} hiddenFrom="sm" size="sm" aria-label="Navigation" />
            <Anchor component={Link} to="/" fw={600} c="inherit" underline="never">
              <Group gap={8} wrap="nowrap"><img src="static/mark.svg" alt="" width={24} height={24} />Headwater</Group>
            </Anchor>
          </Group>
          <Group gap="xs" wrap="nowrap">
            <Button variant="default" size="xs" onClick={spotlight.open}>Find <Kbd ml={8} size="xs">Ctrl K</Kbd></Button>
            <Button variant="subtle" color="gray" size="xs" visibleFrom="sm" onClick={() => setColorScheme(colorScheme === "dark" ? "light" : "dark")}>
              {colorScheme === "dark" ? "Light" : "Dark"}
            </Button>
            <Anchor href="account" size="sm" visibleFrom="sm">{current?.user ?? "Account"}</Anchor>
            <Button variant="subtle" color="gray" size="xs" onClick={() => void send("POST", "/api/v1/admin/sessions:logout", { body: {} }).finally(() => location.assign(`${BASE}/login`))}>
              Log out
            </Button>
          </Group>
        </Group>
      </AppShell.Header>
      <AppShell.Navbar>
        <ScrollArea component="nav" aria-label="Services" p="xs" type="auto">
          {PAGES.map((page) => <NavLink key={page.to} component={Link} to={page.to} label={page.label} active={pathname.startsWith(page.to)} onClick={close} />)}
          {services.map((service) => (
            <NavLink key={service.service} label={service.title} defaultOpened={pathname.startsWith(`/${service.service}/`)} childrenOffset={12}>
              {service.items.filter((kind) => method(kind, "list")).map((kind) => {
                const to = `/${service.service}/${kind.plural}`;
                return <NavLink key={kind.plural} component={Link} to={to} label={words(kind.plural)} active={pathname.startsWith(to)} onClick={close} py={4} />;
              })}
            </NavLink>
          ))}
          <NavLink href="dagster/" label="Dagster UI" />
          <NavLink href="api/docs" label="API reference" />
        </ScrollArea>
      </AppShell.Navbar>
      <AppShell.Main>
        {found.error && <Trouble error={found.error} retry={() => found.refetch()} />}
        <Outlet />
      </AppShell.Main>
      <Spotlight actions={commands} shortcut="mod + K" highlightQuery scrollable maxHeight={400} limit={30} nothingFound="Nothing found" searchProps={{ placeholder: "Find a page or run a command" }} />
    </AppShell>
  );
}
