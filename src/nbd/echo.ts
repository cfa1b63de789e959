/**
 * A client's string made fit to be repeated in an error message or in the log: short and without
 * anything that could steer a terminal. Servers have died of an echo that was longer than a message
 * may be (CVE-2020-10761).
 */

import { ECHO_CHARACTERS_MAX } from './limits.ts';

export const echo = (text: string): string => {
  const characters = Array.from(text.slice(0, 2 * ECHO_CHARACTERS_MAX));
  const short = characters.slice(0, ECHO_CHARACTERS_MAX).map(printable).join('');
  return characters.length > ECHO_CHARACTERS_MAX ? `'${short}…'` : `'${short}'`;
};

const printable = (character: string): string =>
  /^[\p{L}\p{N}\p{P}\p{S} ]$/u.test(character) ? character : '?';
