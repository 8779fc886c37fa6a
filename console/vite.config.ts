import react from "@vitejs/plugin-react";
import { defineConfig, type Plugin } from "vite";

// GraphiQL's stylesheet carries 360 kB of fonts as data: addresses, which the Content-Security-Policy does not allow.
// The pages use the fonts of the system.
const withoutEmbeddedFonts: Plugin = {
  name: "without-embedded-fonts",
  enforce: "pre",
  transform(code, id) {
    return id.endsWith("graphiql/dist/style.css") ? { code: code.replace(/@font-face\s*\{[^}]*\}/g, ""), map: null } : null;
  },
};

export default defineConfig({
  // Addresses relative to the page, so that the server can stand behind a path prefix.
  base: "./",
  resolve: { alias: [{ find: /^react-remove-scroll-bar$/, replacement: "/src/graphiql/remove-scroll-bar.ts" }] },
  plugins: [withoutEmbeddedFonts, react()],
  build: {
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 2500,
    license: { fileName: "third-party-licenses.md" },
    rolldownOptions: { input: ["index.html", "graphiql.html"] },
  },
  server: {
    // A running `modelwire serve`; start it with MODELWIRE_ALLOWED_ORIGINS=http://localhost:5173.
    proxy: { "/graphql": { target: "http://127.0.0.1:8400", ws: true } },
  },
});
