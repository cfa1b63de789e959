/**
 * The stories of the lab (`npm run lab`) that fit into the everyday run, each as a test. A story decides by itself whether
 * it went as it should; when it did not, all that it told is shown.
 */

import { test } from 'node:test';
import { inLab, skipWithout } from './lab.ts';
import { stories } from './stories/catalogue.ts';
import { alwaysNeeded } from './stories/story.ts';

for (const { name, title, needs } of stories.filter(({ everyday }) => everyday)) {
  test(`${name}: ${title}`, async (t) => {
    if (skipWithout(t, [...alwaysNeeded, ...needs])) return;
    await inLab('stories/tell.sh', [], [name]);
  });
}
