/**
 * The tokens of a script that the compiler wrote: enough to find its decisions (decisions.ts), no more.
 *
 * Comments are skipped, brackets know their partner. A template is its text pieces as tokens of their own, with the
 * brackets `${` and `}` around each expression in it.
 */

export interface Token {
  readonly text: string;
  readonly offset: number;
  readonly kind: 'word' | 'text' | 'sign';
  /** Of a bracket: the index of its partner; otherwise −1. */
  partner: number;
}

const signs =
  /^(?:>>>=|\.\.\.|===|!==|\*\*=|<<=|>>=|>>>|&&=|\|\|=|\?\?=|=>|==|!=|<=|>=|&&|\|\||\?\?|\?\.(?!\d)|\+\+|--|\+=|-=|\*=|\/=|%=|&=|\|=|\^=|<<|>>|\*\*|[{}()[\];,<>+\-*/%&|^!~?:=.@])/;
const word = /^[\w$#\u0080-\uffff]+/;
const number = /^(?:0[xXbBoO][\da-fA-F_]+n?|(?:\d[\d_]*)?\.?\d[\d_]*(?:[eE][+-]?\d+)?n?)/;
const text = /^(?:'(?:[^'\\\n]|\\[^])*'|"(?:[^"\\\n]|\\[^])*")/;
const regularExpression = /^\/(?:[^/\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/[a-z]*/;
const blank = /^(?:\s+|\/\/[^\n]*|\/\*[^]*?\*\/|#![^\n]*)+/;
/** Text of a template up to its end or to the next expression. */
const templatePiece = /^(?:[^`\\$]|\\[^]|\$(?!\{))*/;
/** After these words a slash begins a regular expression. */
const beforeValue = /^(?:return|typeof|case|in|of|delete|void|throw|new|else|do|await|yield)$/;

export function tokensOf(source: string): Token[] {
  const tokens: Token[] = [];
  const open: number[] = [];
  let at = 0;
  const push = (kind: Token['kind'], length: number): void => {
    tokens.push({ text: source.slice(at, at + length), offset: at, kind, partner: -1 });
    at += length;
  };
  const close = (): void => {
    const partner = open.pop();
    if (partner === undefined) throw new Error(`a bracket without a partner at ${at}`);
    (tokens[partner] as Token).partner = tokens.length - 1;
    (tokens[tokens.length - 1] as Token).partner = partner;
  };
  /** From behind a backtick or behind the bracket of an expression. */
  const template = (): void => {
    push('text', lengthAt(templatePiece));
    if (source.startsWith('${', at)) {
      open.push(tokens.length);
      push('sign', 2);
    } else push('text', 1);
  };
  const lengthAt = (pattern: RegExp): number => pattern.exec(source.slice(at))?.[0].length ?? 0;
  const valueFollows = (): boolean => {
    const last = tokens.at(-1);
    if (last === undefined) return true;
    if (last.kind === 'sign') return !/^[)\]}]$/.test(last.text);
    return last.kind === 'word' && beforeValue.test(last.text);
  };
  while (at < source.length) {
    const skipped = lengthAt(blank);
    at += skipped;
    if (at >= source.length) break;
    const character = source[at] as string;
    if (character === '`') {
      push('text', 1);
      template();
    } else if (/['"]/.test(character)) push('text', lengthAt(text));
    else if (/\d/.test(character)) push('text', lengthAt(number));
    else if (character === '/' && valueFollows()) push('text', lengthAt(regularExpression));
    else if (/[\w$#\u0080-\uffff]/.test(character)) push('word', lengthAt(word));
    else {
      const inTemplate = character === '}' && tokens[open.at(-1) ?? -1]?.text === '${';
      const length = lengthAt(signs);
      if (length === 0) throw new Error(`no token at ${at}: ${source.slice(at, at + 20)}`);
      if (/[([{]/.test(character)) open.push(tokens.length);
      push('sign', length);
      if (/[)\]}]/.test(character)) close();
      if (inTemplate) template();
    }
  }
  if (open.length > 0) throw new Error('a bracket is never closed');
  return tokens;
}
