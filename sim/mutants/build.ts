/**
 * Makes the copy of the build that carries a mutant: dist/mutants/NAME.PID, inside the repository so that packages are
 * found as before. Files are hard links to the build but for those that are patched, so a copy costs names and no bytes.
 *
 * Never write to a file of a copy: unless it is a patched one, it is the file of the build itself.
 */

import {
  copyFileSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Mutant, Patch } from './mutant.ts';

/** dist, where this file was built to. */
export const distRoot = fileURLToPath(new URL('../../', import.meta.url));
const copied = ['src', 'sim', 'tests', 'scripts'];

export interface Applied {
  readonly file: string;
  readonly text: string;
}

/** The patched files, or why the mutant does not apply (any more). */
export function applyPatches(mutant: Pick<Mutant, 'name' | 'patches'>): Applied[] {
  const texts = new Map<string, string>();
  for (const patch of mutant.patches) {
    const before = texts.get(patch.file) ?? readFileSync(join(distRoot, patch.file), 'utf8');
    texts.set(patch.file, applyTo(before, patch, mutant.name));
  }
  return [...texts].map(([file, text]) => ({ file, text }));
}

function applyTo(text: string, { file, find, replace }: Patch, name: string): string {
  const at = text.indexOf(find);
  if (at < 0) throw new Error(`mutant ${name}: ${file} has no ${JSON.stringify(find)}`);
  if (text.includes(find, at + 1))
    throw new Error(`mutant ${name}: ${file} has more than one ${JSON.stringify(find)}`);
  if (find === replace) throw new Error(`mutant ${name} changes nothing`);
  return text.slice(0, at) + replace + text.slice(at + find.length);
}

/** Of this process alone: two runs at once do not meet. */
const rootOf = (name: string): string => join(distRoot, 'mutants', `${name}.${process.pid}`);

/** Builds the copy anew; returns its root, which stands for `dist`. */
export function buildMutant(mutant: Pick<Mutant, 'name' | 'patches'>): string {
  const patched = new Map(applyPatches(mutant).map(({ file, text }) => [file, text]));
  const root = rootOf(mutant.name);
  rmSync(root, { recursive: true, force: true });
  for (const top of copied) {
    for (const entry of readdirSync(join(distRoot, top), { recursive: true, encoding: 'utf8' })) {
      if (!/\.(js|js\.map|json)$/.test(entry)) continue;
      const file = join(top, entry);
      // A patched file has no map: its lines are not those of the source any more.
      if (patched.has(file.replace(/\.map$/, '')) && file.endsWith('.map')) continue;
      const target = join(root, file);
      mkdirSync(dirname(target), { recursive: true });
      const text = patched.get(file);
      if (text === undefined) linkOrCopy(join(distRoot, file), target);
      else writeFileSync(target, text, { flag: 'wx' });
    }
  }
  return root;
}

export function removeMutant(name: string): void {
  rmSync(rootOf(name), { recursive: true, force: true });
}

function linkOrCopy(from: string, to: string): void {
  try {
    linkSync(from, to);
  } catch {
    copyFileSync(from, to);
  }
}
