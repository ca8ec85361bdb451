// The pages of administration that are made by hand.

import { type AnyRoute, createRoute, lazyRouteComponent } from "@tanstack/react-router";
import { createElement } from "react";

const CreateItem = lazyRouteComponent(() => import("../../kernel/NewItem"), "CreateItem");

/** Kinds whose items have a page made by hand. The address of a new one would be that of an item. */
const OWN_PAGES = ["users", "service-accounts", "groups", "roles", "webhook-endpoints"];

/** Their routes, below the root. */
export function administration<Root extends AnyRoute>(root: Root) {
  const getParentRoute = () => root;
  return [
    createRoute({ getParentRoute, path: "/admin", component: lazyRouteComponent(() => import("./OverviewPage"), "OverviewPage") }),
    createRoute({ getParentRoute, path: "/admin/monitoring", component: lazyRouteComponent(() => import("./monitoring/MonitoringPage"), "MonitoringPage") }),
    createRoute({
      getParentRoute,
      path: "/admin/explain",
      component: lazyRouteComponent(() => import("./explain/ExplainPage"), "ExplainPage"),
      validateSearch: texts("principal", "permission", "on", "kind", "as_of"),
    }),
    createRoute({ getParentRoute, path: "/admin/projects/$id/move", component: lazyRouteComponent(() => import("./project/MovePage"), "MovePage"), validateSearch: texts("to", "operation") }),
    createRoute({ getParentRoute, path: "/admin/users/$id", component: lazyRouteComponent(() => import("./principal/PrincipalPage"), "UserPage"), validateSearch: texts("tab") }),
    createRoute({ getParentRoute, path: "/admin/service-accounts/$id", component: lazyRouteComponent(() => import("./principal/PrincipalPage"), "ServiceAccountPage"), validateSearch: texts("tab") }),
    createRoute({ getParentRoute, path: "/admin/groups/$id", component: lazyRouteComponent(() => import("./principal/PrincipalPage"), "GroupPage"), validateSearch: texts("tab") }),
    createRoute({ getParentRoute, path: "/admin/roles/$id", component: lazyRouteComponent(() => import("./role/RolePage"), "RolePage"), validateSearch: texts("tab", "text", "with") }),
    createRoute({ getParentRoute, path: "/admin/grants", component: lazyRouteComponent(() => import("./access/GrantsPage"), "GrantsPage"), validateSearch: texts("principal", "role", "on") }),
    createRoute({
      getParentRoute,
      path: "/admin/grants/new",
      component: lazyRouteComponent(() => import("./access/GiveRolePage"), "GiveRolePage"),
      validateSearch: texts("principal", "role", "securable_id", "securable_kind"),
    }),
    createRoute({ getParentRoute, path: "/admin/identity-providers/new", component: lazyRouteComponent(() => import("./provider/ProviderPage"), "NewProviderPage") }),
    createRoute({ getParentRoute, path: "/admin/identity-providers/$id", component: lazyRouteComponent(() => import("./provider/ProviderPage"), "ProviderPage"), validateSearch: texts("tab") }),
    createRoute({ getParentRoute, path: "/admin/invitations", component: lazyRouteComponent(() => import("./invitation/InvitationsPage"), "InvitationsPage"), validateSearch: texts("state") }),
    createRoute({ getParentRoute, path: "/admin/invitations/new", component: lazyRouteComponent(() => import("./invitation/InvitePage"), "InvitePage") }),
    createRoute({ getParentRoute, path: "/admin/webhook-endpoints/$id", component: lazyRouteComponent(() => import("./webhook/WebhookPage"), "WebhookPage"), validateSearch: texts("tab") }),
    createRoute({ getParentRoute, path: "/admin/audit-events", component: lazyRouteComponent(() => import("./audit/AuditPage"), "AuditPage"), validateSearch: texts("filter", "since", "until") }),
    createRoute({ getParentRoute, path: "/admin/settings", component: lazyRouteComponent(() => import("./settings/SettingsPage"), "SettingsPage") }),
    ...OWN_PAGES.map((plural) => createRoute({ getParentRoute, path: `/admin/${plural}/new`, component: () => createElement(CreateItem, { service: "admin", plural }) })),
  ];
}

/** Parameters of an address that are texts. Others are ignored. */
function texts<Name extends string>(...names: Name[]) {
  return (search: Record<string, unknown>) => {
    const found = names.filter((name) => typeof search[name] === "string" && search[name]);
    return Object.fromEntries(found.map((name) => [name, search[name]])) as { [name in Name]?: string };
  };
}
