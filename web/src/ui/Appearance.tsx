import "./appearance.css";
import { useMantineColorScheme } from "@mantine/core";
import { useEffect } from "react";
import { usePreferences } from "../api/preferences";

const SCHEMES = { SYSTEM: "auto", LIGHT: "light", DARK: "dark", HIGH_CONTRAST: "auto" } as const;

/** Applies the theme and the density that the user prefers. */
export function Appearance() {
  const { setColorScheme } = useMantineColorScheme();
  const preferred = usePreferences();
  useEffect(() => {
    if (!preferred) return;
    setColorScheme(SCHEMES[preferred.theme]);
    const { dataset } = document.documentElement;
    dataset.contrast = preferred.theme === "HIGH_CONTRAST" ? "high" : "normal";
    dataset.density = preferred.density.toLowerCase();
  }, [preferred, setColorScheme]);
  return null;
}
