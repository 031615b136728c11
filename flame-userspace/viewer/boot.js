// Unpacks the viewer and runs it. The page's policy has the viewer's hash: other code would not run.

import { unpack } from './unpack.js';

async function boot() {
  try {
    const packed = /** @type {HTMLElement} */ (document.getElementById('flame-viewer'));
    const script = document.createElement('script');
    script.type = 'module';
    script.textContent = new TextDecoder().decode(await unpack(packed.textContent ?? ''));
    packed.replaceWith(script);
  } catch (error) {
    const message = /** @type {HTMLElement} */ (document.getElementById('message'));
    message.textContent = error instanceof Error ? error.message : String(error);
    throw error;
  }
}

boot();
