import { Button, Menu } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useEffect } from "react";
import { BASE, send } from "../api/http";
import { session } from "../api/platform";
import { t } from "../language/text";
import { forgetAll } from "./kept";
import { keepVisitsOf } from "./recent";

/** The account of the user, and the way out. */
export function AccountMenu() {
  const { data: current } = useQuery(session);
  const user = current?.user;
  useEffect(() => {
    if (user) keepVisitsOf(user);
  }, [user]);
  const leave = () => {
    return send("POST", "/api/v1/admin/sessions:logout", { body: {} }).finally(() => {
      forgetAll();
      location.assign(`${BASE}/login`);
    });
  };
  return (
    <Menu position="bottom-end">
      <Menu.Target><Button variant="subtle" color="gray" size="xs" aria-label={t("{user}, your account", { user: current?.user ?? t("Account") })} maw={160}>{current?.user ?? t("Account")}</Button></Menu.Target>
      <Menu.Dropdown>
        <Menu.Item component={Link} to="/account">{t("Account and appearance")}</Menu.Item>
        <Menu.Divider />
        <Menu.Item onClick={() => void leave()}>{t("Log out")}</Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}
