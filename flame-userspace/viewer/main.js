// Reads the profile and starts the page.

import { App, part } from './app.js';
import { listen } from './controls.js';
import { decode } from './decode.js';
import { Model } from './model.js';
import { Theme } from './theme.js';
import { unpack } from './unpack.js';

async function main() {
  const message = part('message');
  message.textContent = 'Reading the profile…';
  try {
    const data = part('flame-data');
    const block = await unpack(data.textContent ?? '');
    data.remove();
    const model = new Model(decode(block));
    part('app').hidden = false;
    const app = new App(model, new Theme());
    listen(app);
    app.start();
    message.hidden = true;
  } catch (error) {
    message.textContent = error instanceof Error ? error.message : String(error);
    throw error;
  }
}

main();
