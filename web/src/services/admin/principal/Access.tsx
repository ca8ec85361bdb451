import { Anchor, Skeleton } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { get } from "../../../api/http";
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
  const name = (of: string) => (of === "platform" ? "Platform" : (names[of] ?? of));
  return (
    <Rows
      label="Access"
      empty="The user has no grant that you can see."
      columns={["Role or permission", "Effect", "On", "Through", "Condition", "Expires", "Grant"]}
      rows={items.map(({ grant, role_name, path }) => ({
        id: grant.id,
        cells: [
          role_name ?? grant.permission,
          <State key="effect" color={grant.effect === "DENY" ? "red" : "teal"}>{grant.effect === "DENY" ? "Denied" : "Allowed"}</State>,
          name(grant.securable_id),
          path.slice(1).map(name).join(", in ") || "Direct",
          grant.condition,
          grant.expires_at && <Time value={grant.expires_at} />,
          <Anchor key="grant" component={Link} to={`/admin/grants/${grant.id}`} size="sm">Open</Anchor>,
        ],
      }))}
    />
  );
}
