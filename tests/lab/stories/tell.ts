/** Inside the lab: tells one story. Exit code 0 when it went as it should. */

import { stories } from './catalogue.ts';
import { Stage, StoryFailed } from './stage.ts';

const story = stories.find(({ name }) => name === process.argv[2]);
if (!story) throw new Error(`no story ${process.argv[2]}`);

const stage = new Stage();
try {
  await story.tell(stage);
} catch (error) {
  const why =
    error instanceof StoryFailed ? error.message : error instanceof Error ? error.stack : error;
  process.stdout.write(`\n✖ ${String(why)}\n`);
  const said = await stage.lastWords();
  process.stdout.write(`\n${said}\n`);
  process.exit(1);
}
// The server and the devices end with the kernel.
process.exit(0);
