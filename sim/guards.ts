/**
 * While a plan runs nothing may look at the real time or at real chance: what does would make two runs of one seed differ.
 * Whoever tries is a bug, and is told so where it happens.
 */

const forbidden: readonly [owner: object, name: string][] = [
  [Math, 'random'],
  [Date, 'now'],
  [globalThis, 'setTimeout'],
  [globalThis, 'setInterval'],
];

export async function withoutTheWorld<T>(act: () => Promise<T>): Promise<T> {
  const kept = forbidden.map(([owner, name]) => Reflect.get(owner, name) as unknown);
  for (const [owner, name] of forbidden) {
    Reflect.set(owner, name, () => {
      throw new Error(`${name} was used in a simulation`);
    });
  }
  try {
    return await act();
  } finally {
    forbidden.forEach(([owner, name], i) => {
      Reflect.set(owner, name, kept[i]);
    });
  }
}
