import { Anchor, Skeleton } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { get } from "../../../api/http";
import { t } from "../../../language/text";
import { State } from "../../../ui/State";
import { Time } from "../../../ui/Time";
import { Trouble } from "../../../ui/Trouble";
import { Rows } from "../Rows";

interface Held {
  grant: { id: string; permission: string | null; role_id: string | null; effect: "ALLOW" | "DENY"; securable_id: string; condition: string; expires_at: string | null };
  role_name: string | null;
  path: string[];
}

interface Effective {
  items: Held[];
  names: Record<string, string>;
}

/** Every grant of a user, direct or through groups. */
export function Access({ path, id }: { path: string; id: string }) {
  const held = useQuery({ queryKey: ["item", "admin", "users", id, "access"], queryFn: ({ signal }) => get<Effective>(`${path}/effective-access`, { signal }), retry: false });
  if (held.error) return <Trouble error={held.error} retry={() => held.refetch()} />;
  if (!held.data) return <Skeleton height={160} />;
  const { items, names } = held.data;
  const name = (of: string) => (of === "platform" ? t("Platform") : (names[of] ?? of));
  return (
    <Rows
      label={t("Access")}
      empty={t("The user has no grant that you can see.")}
      columns={[t("Role or permission"), t("Effect"), t("On"), t("Through"), t("Condition"), t("Expires"), t("Grant")]}
      rows={items.map(({ grant, role_name, path }) => ({
        id: grant.id,
        cells: [
          role_name ?? grant.permission,
          <State key="effect" color={grant.effect === "DENY" ? "red" : "teal"}>{grant.effect === "DENY" ? t("Denied") : t("Allowed")}</State>,
          name(grant.securable_id),
          path.slice(1).map(name).join(", in ") || t("Direct"),
          grant.condition,
          grant.expires_at && <Time value={grant.expires_at} />,
          <Anchor key="grant" component={Link} to={`/admin/grants/${grant.id}`} size="sm">{t("Open")}</Anchor>,
        ],
      }))}
    />
  );
}
