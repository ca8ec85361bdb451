import { ActionIcon, Tooltip } from "@mantine/core";
import { useState } from "react";
import { useChangePreferences, usePreferences } from "../api/preferences";
import { t } from "../language/text";
import { Trouble } from "./Trouble";

/** Marks the page as a favorite of the user, or no longer. */
export function Favorite({ path, title }: { path: string; title: string }) {
  const favorites = usePreferences()?.favorites;
  const change = useChangePreferences();
  const [error, setError] = useState<unknown>(null);
  if (!favorites) return null;
  const isFavorite = favorites.some((one) => one.path === path);
  const label = isFavorite ? t("Remove from favorites") : t("Add to favorites");
  const toggle = () => {
    setError(null);
    change((now) => {
      const others = now.favorites.filter((one) => one.path !== path);
      return { favorites: isFavorite ? others : [...others, { path, title }] };
    }).catch(setError);
  };
  return (
    <>
      <Tooltip label={label}>
        <ActionIcon variant="subtle" color="gray" aria-label={label} aria-pressed={isFavorite} onClick={toggle}>{isFavorite ? "★" : "☆"}</ActionIcon>
      </Tooltip>
      {error !== null && <Trouble error={error} />}
    </>
  );
}
