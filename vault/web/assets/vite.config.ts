import { defineConfig } from 'vite';

// Two entries: `app` on every page, `player` only where something plays.
// Nothing is inlined, so that the strict content security policy holds.
export default defineConfig({
  base: '/static/dist/',
  build: {
    outDir: '../static/dist',
    emptyOutDir: true,
    manifest: 'manifest.json',
    target: 'es2022',
    modulePreload: false,
    cssCodeSplit: true,
    assetsInlineLimit: 0,
    license: true,
    rolldownOptions: { input: { app: 'src/app.ts', player: 'src/player.ts' } },
  },
});
