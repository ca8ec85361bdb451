import "@mantine/core/styles.css";
import "@mantine/notifications/styles.css";
import "@mantine/spotlight/styles.css";
import { MantineProvider } from "@mantine/core";
import { Notifications } from "@mantine/notifications";
import { QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { catalogues, session } from "./api/platform";
import { preferences } from "./api/preferences";
import { queries } from "./api/queries";
import { router } from "./routes";
import { theme, variables } from "./ui/theme";

// The frame of every page shows these. They are read while the browser loads the files of the page.
void queries.prefetchQuery(session);
void queries.prefetchQuery(preferences);
void queries.prefetchQuery(catalogues);

createRoot(document.getElementById("root") as HTMLElement).render(
  <StrictMode>
    <MantineProvider theme={theme} cssVariablesResolver={variables} defaultColorScheme="auto">
      <Notifications />
      <QueryClientProvider client={queries}>
        <RouterProvider router={router} />
      </QueryClientProvider>
    </MantineProvider>
  </StrictMode>,
);
