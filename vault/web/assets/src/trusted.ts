/**
 * What may become markup here: documents that the vault has drawn, by way of htmx, and
 * of other strings only what is named below.
 *
 * With `require-trusted-types-for 'script'` a browser asks these policies whenever a
 * script would make markup, or a script, of a string.
 *
 * Left to others: browsers without trusted types, where the content security policy
 * alone keeps scripts out.
 */
import htmx from 'htmx.org';

// What wavesurfer.js writes into its shadow root, without its style sheet: the
// policy of the page takes none from markup, `player/wave.ts` brings it.
const WAVE =
  '<div class="scroll" part="scroll"><div class="wrapper" part="wrapper">' +
  '<div class="canvases" part="canvases"></div><div class="progress" part="progress"></div>' +
  '<div class="cursor" part="cursor"></div></div></div>';

interface Rules {
  createHTML(text: string): string;
  createScript?(text: string): string;
}
interface Policies {
  createPolicy(name: string, rules: Rules): Rules;
}

/** Answers of the vault, parsed into a document of their own, in which nothing runs. */
const DOCUMENTS: Rules = {
  createHTML: (text) => text,
  createScript: () => {
    throw new TypeError('no script comes with new content');
  },
};

const STRINGS: Rules = {
  createHTML(text) {
    const bare = text.replace(/<style[^>]*>[^<]*<\/style>/g, '').replace(/>\s+</g, '><').trim();
    if (bare === '' || bare === WAVE) return bare;
    throw new TypeError('markup that nobody has named');
  },
};

const policies = (globalThis as { trustedTypes?: Policies }).trustedTypes;
if (policies) {
  const documents = policies.createPolicy('htmx', DOCUMENTS);
  policies.createPolicy('default', STRINGS);
  const extension = { init: (api: { initSecurity(rules: Rules): void }) => api.initSecurity(documents) };
  htmx.registerExtension('trusted', extension as never);
}
