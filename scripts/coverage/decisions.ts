/**
 * The decisions in a script and how often each of their outcomes came about.
 *
 * An outcome is a branch. V8 counts blocks, which leaves out what has no block of its own: the `if` without `else`
 * whose condition always held, the `a ?? b` whose left side was never null. Both are branches that no test took, so
 * the decisions are found in the text and V8's counts are only asked how often each place ran:
 *
 *   if (c) A else B       A and B
 *   if (c) A              A, and the difference between `if` and A
 *   c ? a : b             a and b
 *   a && b, ||, ??        b, and the difference between a and b (decided by the left side alone)
 *   a?.b                  b, and the difference between a and b
 *   case x: default:      each
 *   for, while            the body
 *   catch                 the block
 *
 * Not counted: defaults of parameters and of destructuring, and `??=` and its like, which V8 has no counter for; what is
 * inside `assert(…)`, which has one legal outcome; a `default` that only says `unreachable`, which the compiler proves;
 * and a difference in the condition of a loop, as V8 counts how often a loop is entered and how often its body runs,
 * not how often its condition is asked.
 *
 * A limit: V8 does not notice that a call threw. Where something before a decision in the same block throws in one
 * test, a difference may count as an outcome although it was none.
 */

import type { Token } from './tokens.ts';

export interface Outcome {
  /** Of the place a person should look at. */
  readonly offset: number;
  readonly what: string;
  readonly count: number;
}

/** Ends the search for the beginning of a left side, whatever the operator. */
const stops =
  /^(?:[,;?:]|=>|\.\.\.|=|[-+*/%&|^]=|\*\*=|<<=|>>>?=|&&=|\|\|=|\?\?=|\$?\{|[([]|return|throw|case|else|do|of|yield|const|let)$/;
const binding: Readonly<Record<string, number>> = { '??': 1, '||': 1, '&&': 2 };

export function outcomesOf(
  tokens: readonly Token[],
  countAt: (offset: number) => number,
): Outcome[] {
  const outcomes: Outcome[] = [];
  const at = (index: number): Token => tokens[index] as Token;
  const textAt = (index: number): string => tokens[index]?.text ?? '';
  const count = (index: number): number => countAt(at(index).offset);
  const add = (index: number, what: string, times: number): void => {
    outcomes.push({ offset: at(index).offset, what, count: times });
  };
  /** The index of the bracket that closes the head of `if (…)`, `for await (…)`, `catch (…)`. */
  const headEnd = (index: number): number => {
    const from = textAt(index + 1) === 'await' ? index + 2 : index + 1;
    return textAt(from) === '(' ? at(from).partner : index;
  };
  const statementEnd = (index: number): number => {
    switch (textAt(index)) {
      case '{':
        return at(index).partner;
      case 'if': {
        const end = statementEnd(headEnd(index) + 1);
        return textAt(end + 1) === 'else' ? statementEnd(end + 2) : end;
      }
      case 'for':
      case 'while':
      case 'switch':
        return statementEnd(headEnd(index) + 1);
      case 'do':
        return headEnd(statementEnd(index + 1) + 1) + 1;
      case 'try': {
        let end = statementEnd(index + 1);
        if (textAt(end + 1) === 'catch') end = statementEnd(headEnd(end + 1) + 1);
        if (textAt(end + 1) === 'finally') end = statementEnd(end + 2);
        return end;
      }
      default: {
        let end = index;
        for (; end < tokens.length && textAt(end) !== ';'; end++) {
          if (at(end).partner > end) end = at(end).partner;
        }
        return end;
      }
    }
  };
  /** The token that a left side begins with; for a chain of one operator, the operator before. */
  const leftOf = (index: number, operator: string): number => {
    const strength = binding[operator] ?? 3;
    let from = index - 1;
    for (; from >= 0; from--) {
      const { text, partner, kind } = at(from);
      if (partner >= 0 && partner < from) {
        // The end of the statement before, or the head of the one that this is the body of.
        if (text === '}' && kind === 'sign' && textAt(partner) === '{' && !isValue(partner)) break;
        if (/^(?:if|for|while|switch|await)$/.test(textAt(partner - 1))) break;
        from = partner;
        continue;
      }
      if ((binding[text] ?? 9) <= strength) return from;
      if (kind !== 'text' && stops.test(text)) return /^[?:]$/.test(text) ? from : from + 1;
    }
    return from + 1;
  };
  /** Does this brace open an object, not a block? */
  const isValue = (index: number): boolean =>
    /^(?:[(,=:[?]|\?\?|&&|\|\||return)$/.test(textAt(index - 1));
  const isKeyword = (index: number): boolean =>
    textAt(index - 1) !== '.' && textAt(index - 1) !== '?.' && textAt(index + 1) !== ':';

  /** The end of the head of the loop that this is in. */
  let loopHeadEnd = 0;
  const addDifference = (index: number, what: string, times: number): void => {
    if (index > loopHeadEnd) add(index, what, times);
  };

  for (let index = 0; index < tokens.length; index++) {
    const { text, kind, partner } = at(index);
    if (kind === 'text') continue;
    if (text === '(' && textAt(index - 1) === 'assert') {
      index = partner;
      continue;
    }
    switch (text) {
      case 'if': {
        if (!isKeyword(index)) break;
        const then = headEnd(index) + 1;
        const end = statementEnd(then);
        add(then, 'if: held', count(then));
        if (textAt(end + 1) === 'else') add(end + 1, 'if: did not hold', count(end + 1));
        else add(index, 'if: did not hold', count(index) - count(then));
        break;
      }
      case '?': {
        let colon = index + 1;
        for (let nested = 0; textAt(colon) !== ':' || nested > 0; colon++) {
          if (textAt(colon) === '?') nested++;
          else if (textAt(colon) === ':') nested--;
          else if (at(colon).partner > colon) colon = at(colon).partner;
        }
        add(index + 1, '? :, first', count(index));
        add(colon + 1, '? :, second', count(colon));
        break;
      }
      case '&&':
      case '||':
      case '??': {
        const right = count(index);
        add(index, `${text}: right side`, right);
        addDifference(index, `${text}: left side alone`, count(leftOf(index, text)) - right);
        break;
      }
      case '?.':
        add(index, '?.: there', count(index));
        addDifference(index, '?.: not there', count(index - 1) - count(index));
        break;
      case 'case':
        if (isKeyword(index)) add(index, 'case', count(index));
        break;
      case 'default':
        if (textAt(index + 1) !== ':' || textAt(index + 3) === 'unreachable') break;
        if (!/^[{;}:]$/.test(textAt(index - 1))) break;
        add(index, 'default', count(index));
        break;
      case 'for':
      case 'while': {
        if (!isKeyword(index)) break;
        const body = headEnd(index) + 1;
        const head = tokens.slice(index, body);
        if (text === 'while' || head.some((token) => token.text === ';')) loopHeadEnd = body;
        if (textAt(body) !== ';') add(body, `${text}: body`, count(body));
        break;
      }
      case 'catch': {
        if (textAt(index - 1) !== '}') break;
        const body = headEnd(index) + 1;
        add(body, 'catch', count(body));
        break;
      }
      default:
        break;
    }
  }
  return outcomes;
}
