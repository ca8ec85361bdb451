import { Anchor, AppShell, Burger, Button, Group, Kbd, NavLink, ScrollArea, Text } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { spotlight } from "@mantine/spotlight";
import { useQuery } from "@tanstack/react-query";
import { Link, Outlet, useRouterState } from "@tanstack/react-router";
import { catalogues, method } from "../api/platform";
import { words } from "../api/schema";
import { rich, t } from "../language/text";
import { AccountMenu } from "./AccountMenu";
import { Appearance } from "./Appearance";
import { CopyAs } from "./CopyAs";
import { Favorite } from "./Favorite";
import { Fetching } from "./Fetching";
import { LoginAgain } from "./LoginAgain";
import { MAIN_PAGES, mainPageOf } from "./navigation";
import { Palette } from "./Palette";
import { Shortcuts } from "./Shortcuts";
import { SideView } from "./SideView";
import { Trouble } from "./Trouble";
import { usePageTitle } from "./usePageTitle";

/** The frame of all pages: navigation from the catalog of kinds, the command palette, and the account. */
export function Shell() {
  const [open, { toggle, close }] = useDisclosure(false);
  const found = useQuery(catalogues);
  const pathname = useRouterState({ select: (state) => state.location.pathname });
  const title = usePageTitle(pathname);
  const mainPage = mainPageOf(pathname);
  const services = (found.data ?? []).filter((service) => service.items.some((kind) => method(kind, "list")));
  return (
    <AppShell header={{ height: 48 }} navbar={{ width: 232, breakpoint: "sm", collapsed: { mobile: !open } }} padding="md">
      <AppShell.Header px="md">
        <Group h="100%" justify="space-between" wrap="nowrap">
          <Group gap="sm" wrap="nowrap">
            <Burger opened={open} onClick={toggle} hiddenFrom="sm" size="sm" aria-label={t("Navigation")} />
            <Anchor component={Link} to="/" fw={600} c="inherit" underline="never" aria-label={t("Headwater")}>
              <Group gap={8} wrap="nowrap"><img src="static/mark.svg" alt="" width={24} height={24} /><Text span inherit visibleFrom="sm">{t("Headwater")}</Text></Group>
            </Anchor>
          </Group>
          <Group gap="xs" wrap="nowrap">
            {title && <Favorite path={pathname} title={title} />}
            <CopyAs />
            <Button variant="default" size="xs" onClick={spotlight.open}>{rich("Find {kbd}", { kbd: <Kbd ml={8} size="xs" visibleFrom="sm">Ctrl K</Kbd> })}</Button>
            <AccountMenu />
          </Group>
        </Group>
      </AppShell.Header>
      <AppShell.Navbar>
        <ScrollArea component="nav" aria-label={t("Main")} p="xs" type="auto">
          {MAIN_PAGES.map((page) => <NavLink key={page.to} component={Link} to={page.to} label={page.label} active={page === mainPage} onClick={close} />)}
          {services.map((service) => (
            <NavLink key={service.service} label={service.title} defaultOpened={!mainPage && pathname.startsWith(`/${service.service}/`)} childrenOffset={12} keepMounted={false} c="dimmed" mt={4}>
              {service.items.filter((kind) => method(kind, "list")).map((kind) => {
                const to = `/${service.service}/${kind.plural}`;
                return <NavLink key={kind.plural} component={Link} to={to} label={words(kind.plural)} active={pathname.startsWith(to)} onClick={close} py={4} c="var(--mantine-color-text)" />;
              })}
            </NavLink>
          ))}
          <NavLink href="dagster/" label={t("Dagster UI")} c="dimmed" />
          <NavLink href="api/docs" label={t("API reference")} c="dimmed" />
        </ScrollArea>
      </AppShell.Navbar>
      <AppShell.Main>
        {found.error && <Trouble error={found.error} retry={() => found.refetch()} />}
        <Outlet />
      </AppShell.Main>
      <Appearance />
      <Fetching />
      <LoginAgain />
      <Palette />
      <Shortcuts />
      <SideView />
    </AppShell>
  );
}
