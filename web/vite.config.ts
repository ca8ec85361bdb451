import react from "@vitejs/plugin-react";
import { defineConfig, type Plugin } from "vite";

/** The page reads the application together with its language, and not after it. */
const withApplication: Plugin = {
  name: "with-application",
  transformIndexHtml: {
    order: "post",
    handler: (html, { bundle }) => {
      const chunks = Object.values(bundle ?? {}).filter((one) => one.type === "chunk");
      const application = chunks.find((one) => one.moduleIds.some((id) => id.endsWith("/src/app.tsx")));
      if (!application) return [];
      const scripts = [application.fileName, ...application.imports].filter((one) => !html.includes(one));
      const link = (rel: string, file: string) => ({ tag: "link", attrs: { rel, crossorigin: true, href: `./${file}` }, injectTo: "head" as const });
      return [...[...new Set(scripts)].map((one) => link("modulepreload", one)), ...[...(application.viteMetadata?.importedCss ?? [])].map((one) => link("stylesheet", one))];
    },
  },
};

// The API serves the built files below `/console`, and `index.html` for every page of the console. Addresses are relative,
// because the platform can have a path prefix. What the first page needs is in few files, because each file is a request: the
// language, and the application.
export default defineConfig({
  base: "./",
  plugins: [react(), withApplication],
  build: { assetsDir: "console", sourcemap: false, chunkSizeWarningLimit: 900, rolldownOptions: { output: { codeSplitting: { groups: [{ name: "language", test: /src.language.text/, priority: 2 }, { name: "first", test: /src.app\.tsx$/, priority: 1 }] } } } },
  server: { proxy: { "/api": "http://127.0.0.1:8400", "/login": "http://127.0.0.1:8400", "/static": "http://127.0.0.1:8400" } },
});
