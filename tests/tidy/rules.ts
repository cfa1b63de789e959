/**
 * The rules of the repository that neither the compiler nor the linter holds. Each rule is a function from one file to
 * sentences about what is wrong with it; an empty list means that the file is in order. tidy.test.ts runs them over the
 * tree, and over small offenders to show that each rule can fail.
 */

export interface SourceFile {
  /** Relative to the root of the repository, with slashes. */
  readonly path: string;
  readonly text: string;
}

/** Lines of code; comments are welcome and do not count. */
const codeLinesMax = 400;
/** Of comments; the formatter holds the code, and strings are as long as their sentences. */
const commentColumnsMax = 125;

/**
 * Source files over the limit, and how long each may be at most. A ratchet: a file may leave the list or shrink, none
 * is added without a reason beside it.
 */
export const longFiles: Readonly<Record<string, number>> = {
  'src/core/overlay.ts': 450,
  'src/io/uring.ts': 450,
};

/** Comments and string contents replaced by spaces, lines kept: what is left is code. */
export function codeOf(text: string): string {
  const blank = (match: string): string => match.replace(/[^\n]/g, ' ');
  const token = /\/\*[\s\S]*?\*\/|\/\/[^\n]*|'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"/g;
  return text.replace(token, (match) => (/^['"]/.test(match) ? match : blank(match)));
}

function linesMatching(file: SourceFile, text: string, pattern: RegExp, why: string): string[] {
  return text
    .split('\n')
    .flatMap((line, index) => (pattern.test(line) ? [`${file.path}:${index + 1}: ${why}`] : []));
}

export function header(file: SourceFile): string[] {
  return /^(#![^\n]*\n)?\s*(\/\*\*|\/\/)/.test(file.text)
    ? []
    : [`${file.path}: open the file with a comment that gives its reason`];
}

export function codeLineCount(text: string): number {
  return codeOf(text)
    .split('\n')
    .filter((line) => line.trim() !== '').length;
}

export function size(file: SourceFile): string[] {
  const count = codeLineCount(file.text);
  const limit = longFiles[file.path] ?? codeLinesMax;
  if (count <= limit) return [];
  return [`${file.path}: ${count} lines of code, over ${limit}: does it still hold one idea?`];
}

export function columns(file: SourceFile): string[] {
  const isComment = /^\s*(\/\*|\*|\/\/)/;
  return file.text
    .split('\n')
    .flatMap((line, index) =>
      line.length > commentColumnsMax && isComment.test(line)
        ? [`${file.path}:${index + 1}: a comment of ${line.length} columns`]
        : [],
    );
}

export function leftovers(file: SourceFile): string[] {
  const code = codeOf(file.text);
  return [
    ...linesMatching(file, code, /\bconsole\./, 'write through the log or the terminal module'),
    ...linesMatching(file, code, /\bdebugger\b/, 'a debugger statement was left'),
    ...linesMatching(file, file.text, /\b(FIXME|XXX|HACK)\b/, 'finish it, or write an issue'),
  ];
}

/** core/ decides; whatever waits, reads a clock or knows Node belongs to a layer above. */
export function plainCore(file: SourceFile): string[] {
  const code = codeOf(file.text);
  return [
    ...linesMatching(
      file,
      code,
      /\b(async|await)\b/,
      'core/ is synchronous: return what to wait for',
    ),
    ...linesMatching(file, code, /\bPromise\b/, 'core/ is synchronous: return what to wait for'),
    ...linesMatching(file, code, /['"]node:/, 'core/ does not know Node'),
  ];
}

/** Words that the glossary gives another name; whole words of identifiers only. */
const otherWords: readonly (readonly [RegExp, string])[] = [
  [/journals?/, 'log'],
  [/wal/, 'log'],
  [/maintenance/, 'window'],
  [/downtime/, 'window'],
  [/strips?/, 'chunk'],
];

/** Names in which such a word means something else: what ext3 and ext4 have. */
const otherMeanings: ReadonlySet<string> = new Set(['hasJournal']);

export function glossaryWords(file: SourceFile): string[] {
  const problems: string[] = [];
  codeOf(file.text)
    .split('\n')
    .forEach((line, index) => {
      for (const name of line.replace(/'[^']*'|"[^"]*"/g, '').match(/[A-Za-z][A-Za-z0-9]*/g) ??
        []) {
        if (otherMeanings.has(name)) continue;
        for (const word of name.split(/(?<=[a-z0-9])(?=[A-Z])/)) {
          const rule = otherWords.find(([other]) =>
            new RegExp(`^${other.source}$`, 'i').test(word),
          );
          if (rule)
            problems.push(`${file.path}:${index + 1}: ${name}: the word here is ${rule[1]}`);
        }
      }
    });
  return problems;
}

/** A level is one file that fills in a descriptor; everything else asks the descriptor. */
export function unnamedLevels(file: SourceFile): string[] {
  return linesMatching(
    file,
    codeOf(file.text),
    /\blevel\s*[!=]==?\s*\d/,
    'ask the level descriptor, do not name a level',
  );
}

/** Paths and hosts of the machine it was written on. Spelled in pieces, so that this file passes its own rule. */
const machineWords = [
  ['', 'work', ''].join('/'),
  ['', 'farm', ''].join('/'),
  ['', 'tmp', 'bash_jobs'].join('/'),
  ['registry', 'npmjs'].join('.'),
  ['deb', 'debian'].join('.'),
];

export function machinePaths(file: SourceFile): string[] {
  return machineWords
    .filter((word) => file.text.includes(word))
    .map((word) => `${file.path}: names ${word}, which only exists on one machine`);
}

/** Text outside fenced code blocks. */
function prose(markdown: string): string {
  return markdown.replace(/^(```|~~~)[\s\S]*?^\1[^\n]*$/gm, '');
}

export function oneTitle(file: SourceFile): string[] {
  const titles = prose(file.text).match(/^# .+$/gm) ?? [];
  return titles.length === 1 ? [] : [`${file.path}: ${titles.length} titles (# …), there is one`];
}

/** Targets of relative links, without anchors. */
export function relativeLinks(markdown: string): string[] {
  const links = prose(markdown)
    .replace(/`[^`\n]*`/g, '')
    .matchAll(/\]\(([^)\s]+)(?:\s+"[^"]*")?\)/g);
  return [...links]
    .map((match) => (match[1] ?? '').replace(/#.*$/, ''))
    .filter((target) => target !== '' && !/^[a-z]+:/.test(target));
}
