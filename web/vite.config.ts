import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// The API serves the built files below `/console`, and `index.html` for every page of the console. Addresses are relative,
// because the platform can have a path prefix. What the first page needs is one file, because each file is a request.
export default defineConfig({
  base: "./",
  plugins: [react()],
  build: { assetsDir: "console", sourcemap: false, chunkSizeWarningLimit: 900, rolldownOptions: { output: { codeSplitting: { groups: [{ name: "first", tags: ["$initial"] }] } } } },
  server: { proxy: { "/api": "http://127.0.0.1:8400", "/login": "http://127.0.0.1:8400", "/static": "http://127.0.0.1:8400" } },
});
