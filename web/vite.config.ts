import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// The API serves the built files below this path, and `index.html` for every page of the console.
export default defineConfig({
  base: "/console/",
  plugins: [react()],
  build: { sourcemap: false, chunkSizeWarningLimit: 900 },
  server: { proxy: { "/api": "http://127.0.0.1:8400", "/login": "http://127.0.0.1:8400", "/static": "http://127.0.0.1:8400" } },
});
