import type { SeededRandom } from '../../src/testing/seeded-random.ts'
import { children, type FaultKind } from './faults.ts'
import type { Injection } from './traced-writer.ts'

/** What the machine lets us do. */
export interface Means {
  readonly canTrace: boolean
  readonly hasDisk: boolean
}

const injections: readonly Omit<Injection, 'when'>[] = [
  { call: 'fdatasync', error: 'EIO' },
  { call: 'pwritev', error: 'EIO' },
  { call: 'fsync', error: 'EIO' },
  { call: 'pwritev', error: 'ENOSPC' },
]

export function anyFault(random: SeededRandom, { canTrace, hasDisk }: Means): FaultKind {
  const dice = random.fraction()
  if (hasDisk && dice < 0.04) return fillDisk(random)
  if (canTrace && dice < 0.12) return failCall(random, random.pick(injections))
  if (dice < 0.2) return stop(random, random.pick(['supervisor', ...children]))
  return anyKill(random)
}

function anyKill(random: SeededRandom): FaultKind {
  const dice = random.fraction()
  if (dice < 0.12) return { kind: 'killAll' }
  if (dice < 0.24) return { kind: 'killSupervisor' }
  if (dice < 0.4) return { kind: 'kill', names: severalOf(random) }
  const names = [random.pick(children)]
  return { kind: dice < 0.55 ? 'killTwice' : 'kill', names }
}

/** One of each kind, in a random order. */
export function everyFault(random: SeededRandom, { canTrace, hasDisk }: Means): FaultKind[] {
  const faults: FaultKind[] = [
    ...children.map((name) => ({ kind: 'kill' as const, names: [name] })),
    { kind: 'kill', names: severalOf(random) },
    { kind: 'killTwice', names: [random.pick(children)] },
    { kind: 'killSupervisor' },
    { kind: 'killAll' },
    stop(random, random.pick(children)),
    ...(canTrace ? injections.map((injection) => failCall(random, injection)) : []),
    ...(hasDisk ? [fillDisk(random)] : []),
  ]
  return shuffled(random, faults)
}

const stop = (random: SeededRandom, name: string): FaultKind => ({
  kind: 'stop',
  name,
  forMs: random.integer(200, 3000),
})
const fillDisk = (random: SeededRandom): FaultKind => ({ kind: 'fillDisk', forMs: random.integer(200, 2000) })
const failCall = (random: SeededRandom, injection: Omit<Injection, 'when'>): FaultKind => ({
  kind: 'failCall',
  injection: { ...injection, when: random.integer(1, 3) },
})
const severalOf = (random: SeededRandom): readonly string[] =>
  shuffled(random, [...children]).slice(0, random.integer(2, 4))

function shuffled<Item>(random: SeededRandom, items: Item[]): Item[] {
  for (let i = items.length - 1; i > 0; i--) {
    const j = random.integer(0, i)
    const [a, b] = [items[i] as Item, items[j] as Item]
    items[i] = b
    items[j] = a
  }
  return items
}
