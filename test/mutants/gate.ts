import { plants } from '../simulation/plants.ts'
import type { Mutant } from './mutant.ts'
import { ScratchCopy } from './scratch-copy.ts'
import { filesMsMax, runFile, runTests } from './suite.ts'
import { type Row, survivalOf, unsound } from './verdict.ts'

export interface GateRequest {
  readonly mutants: readonly Mutant[]
  /** Whether the plants of the simulation are looked for as well. */
  readonly withPlants: boolean
  readonly signal: AbortSignal
  /** Called with each row as soon as it is known. */
  readonly tell: (row: Row) => void
}

const plantsFile = 'test/simulation/plants.test.ts'

/**
 * Two at a time, each in a copy of its own. One copy first shows that the tests pass without a mutant; in the other the
 * plants of the simulation are looked for meanwhile, which are put in while it runs.
 * @throws Error when a test that should find a mutant does not pass in the tree as it is
 */
export async function runGate({ mutants, withPlants, signal, tell }: GateRequest): Promise<Row[]> {
  const [sound, planted] = [new ScratchCopy(), new ScratchCopy()]
  const rows: Row[] = []
  const add = (row: Row): void => {
    rows.push(row)
    tell(row)
  }
  const todo = [...mutants]
  const tryAll = async (copy: ScratchCopy): Promise<void> => {
    for (let mutant = todo.shift(); mutant !== undefined; mutant = todo.shift()) add(await tried(copy, mutant, signal))
  }
  try {
    const passing = mustPass(sound, mutants, signal)
    await allOver([
      passing.then(() => tryAll(sound)),
      (withPlants ? plantsFound(planted, signal) : Promise.resolve([])).then(async (found) => {
        for (const row of found) add(row)
        await passing
        await tryAll(planted)
      }),
    ])
    return rows
  } finally {
    for (const copy of [sound, planted]) copy.remove()
  }
}

/** Unlike Promise.all this waits for the others when one fails: they are at work in directories that are removed then. */
async function allOver(promises: readonly Promise<void>[]): Promise<void> {
  const outcomes = await Promise.allSettled(promises)
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
}

async function mustPass(copy: ScratchCopy, mutants: readonly Mutant[], signal: AbortSignal): Promise<void> {
  const finders = mutants.flatMap(({ foundBy }) => foundBy)
  if (finders.length === 0) return
  const failing = new Set(unsound(finders, await runTests(copy.directory, finders, signal, filesMsMax)))
  if (failing.size === 0) return
  throw new Error(`these tests do not pass without a mutant, and so find none:\n${[...failing].join('\n')}`)
}

async function tried(copy: ScratchCopy, mutant: Mutant, signal: AbortSignal): Promise<Row> {
  const { name, attacks, foundBy } = mutant
  const startMs = performance.now()
  const results = await copy.withMutant(mutant, () => runTests(copy.directory, foundBy, signal))
  return {
    mutant: name,
    attacks,
    foundBy: foundBy.map(({ file, test }) => `${file}: ${test}`).join('; '),
    survived: survivalOf(foundBy, results),
    seconds: (performance.now() - startMs) / 1000,
  }
}

async function plantsFound(copy: ScratchCopy, signal: AbortSignal): Promise<Row[]> {
  const results = await runFile(copy.directory, plantsFile, signal)
  return plants.map(({ name }) => {
    const result = results.find((one) => one.name === `finds ${name}`)
    return {
      mutant: name,
      attacks: 'simulation',
      foundBy: `${plantsFile}: finds ${name}`,
      survived: result?.status === 'passed' ? null : (result?.failures[0]?.split('\n')[0] ?? 'was not looked for'),
      seconds: (result?.durationMs ?? 0) / 1000,
    }
  })
}
