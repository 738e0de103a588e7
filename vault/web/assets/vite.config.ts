import { defineConfig } from 'vite';

// `app` is on every page, `player` where something plays, `factors` where they are set up.
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
    rolldownOptions: { input: { app: 'src/app.ts', factors: 'src/factors.ts', player: 'src/player.ts' } },
  },
});
