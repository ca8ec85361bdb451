import { Button, Text } from "@mantine/core";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import type { Grant, Simulation } from "../../../api/generated/admin";
import { send } from "../../../api/http";
import { catalogues } from "../../../api/platform";
import { nameOf, targetOf } from "../../../api/references";
import { t } from "../../../language/text";
import { Confirm } from "../../../ui/Confirm";
import { notice } from "../../../ui/notice";
import { PRINCIPALS } from "../../../fields/Picker";
import { useRights } from "../../../kernel/useRights";
import { Effect } from "./Effect";
import { placeOf } from "./place";

const REVOKE = "admin.grant.delete";

/** Revokes a grant, after what it takes from whom is shown and the name of who has it is typed. */
export function RevokeGrant({ grant }: { grant: Grant }) {
  const queries = useQueryClient();
  const [asked, setAsked] = useState(false);
  const { data: found } = useQuery(catalogues);
  const { data: name } = useQuery(nameOf(found && targetOf(found, PRINCIPALS, grant.principal_id), grant.principal_id));
  const right = useRights([REVOKE], { id: grant.securable_id, kind: grant.securable_kind })(REVOKE);
  const typed = name ?? grant.principal_id;
  return (
    <>
      <Button size="compact-xs" variant="default" color="red" {...right} onClick={() => setAsked(true)}>{t("Revoke")}</Button>
      <Confirm
        opened={asked}
        onClose={() => setAsked(false)}
        title={t("Revoke a grant")}
        typed={typed}
        submit={t("Revoke")}
        danger
        run={async () => {
          await send("DELETE", `/api/v1/admin/grants/${grant.id}`);
          notice(t("The grant of {typed} is revoked. It ends everywhere within a second.", { typed }));
          await Promise.all([
            queries.invalidateQueries({ queryKey: ["items", "admin", "grants"] }),
            queries.invalidateQueries({ queryKey: ["item", "admin"] }),
            queries.invalidateQueries({ queryKey: ["list-objects"] }),
          ]);
        }}
      >
        {grant.effect === "DENY" ? <Text size="sm">{t("The grant denies {typed} something. After this, other grants may allow it.", { typed })}</Text> : <Lost grant={grant} name={typed} />}
      </Confirm>
    </>
  );
}

function Lost({ grant, name }: { grant: Grant; name: string }) {
  const simulated = useQuery({
    queryKey: ["simulate", "revoke", grant.id],
    queryFn: async ({ signal }) => {
      const body = { revoke: [grant.id], securables: [placeOf(grant.securable_id, grant.securable_kind)] };
      return (await send<Simulation>("POST", "/api/v1/admin/decisions:simulate", { body, signal })).body;
    },
    retry: false,
  });
  return <Effect title={t("What {name} can no longer do", { name })} verb="loses" found={simulated} pairs={simulated.data?.lost} none={t("Nobody loses a permission: other grants allow the same, or nobody has this one now.")} />;
}
