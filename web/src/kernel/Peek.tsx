import { Button, CloseButton } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { t } from "../language/text";
import classes from "./ItemTable.module.css";
import { ItemView } from "./ItemView";

interface Props {
  service: string;
  plural: string;
  id: string;
  /** The address of the item's page. */
  page: string;
  doing?: string;
  onClose: () => void;
}

/** An item beside its list. */
export function Peek({ service, plural, id, page, doing, onClose }: Props) {
  const [tab, setTab] = useState<string>();
  const aside = (
    <>
      <Button component={Link} to={page} size="xs" variant="default">{t("Open page")}</Button>
      <CloseButton aria-label={t("Close the side view")} onClick={onClose} />
    </>
  );
  return (
    <aside className={classes.peek} aria-label={t("Side view")}>
      <ItemView service={service} plural={plural} id={id} tab={tab} onTab={setTab} aside={aside} doing={doing} onDeleted={onClose} />
    </aside>
  );
}
