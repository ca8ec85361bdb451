// The design tokens: one accent, a grid of 4 pixels, and small type for dense tables.

import { type CSSVariablesResolver, createTheme } from "@mantine/core";
import { t } from "../language/text";

export const theme = createTheme({
  primaryColor: "teal",
  primaryShade: 9,
  respectReducedMotion: true,
  defaultRadius: "sm",
  components: {
    Modal: { defaultProps: { closeButtonProps: { "aria-label": t("Close") } } },
    Notification: { defaultProps: { closeButtonProps: { "aria-label": t("Dismiss") } } },
  },
  fontFamily: "Inter, system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif",
  fontFamilyMonospace: "ui-monospace, SFMono-Regular, Menlo, Consolas, monospace",
  fontSizes: { xs: "12px", sm: "13px", md: "14px", lg: "16px", xl: "20px" },
  headings: { fontWeight: "600", sizes: { h1: { fontSize: "20px" }, h2: { fontSize: "16px" }, h3: { fontSize: "14px" } } },
});

/** Secondary text with a contrast of at least 4.5 to 1 on every background, which the default colors don't have. */
export const variables: CSSVariablesResolver = () => ({
  variables: {},
  light: {
    "--mantine-color-dimmed": "var(--mantine-color-gray-7)",
    "--mantine-color-placeholder": "var(--mantine-color-gray-7)",
    "--mantine-color-anchor": "#067351",
    "--mantine-color-error": "var(--mantine-color-red-9)",
    "--mantine-color-teal-filled-hover": "#056a4a",
    "--mantine-color-teal-light-color": "#05573f",
    "--mantine-color-orange-light-color": "#8a3c00",
    "--mantine-color-red-light-color": "#9b1c1c",
    "--mantine-color-gray-light-color": "var(--mantine-color-gray-8)",
  },
  dark: {
    "--mantine-color-dimmed": "var(--mantine-color-dark-1)",
    "--mantine-color-placeholder": "var(--mantine-color-dark-1)",
    "--mantine-color-anchor": "var(--mantine-color-teal-4)",
    "--mantine-color-error": "var(--mantine-color-red-4)",
    "--mantine-color-teal-filled-hover": "#056a4a",
  },
});
