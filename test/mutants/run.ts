import { writeFileSync } from 'node:fs'
import { programOptions } from '../../scripts/program-options.ts'
import { plants } from '../simulation/plants.ts'
import { runGate } from './gate.ts'
import { mutants } from './mutants.ts'
import type { Row } from './verdict.ts'

const usage = `npm run mutants -- [--only NAME] [--json FILE]
  --only NAME   only the mutants whose names contain this
  --json FILE   write the results, in the form of those of vitest (default: the file that
                MUTANT_RESULTS names, where it does)
Exit code 0: each planted bug was found. 1: one survived. 2: wrong use, or the tests fail without one.`

const write = (line: string): void => void process.stdout.write(`${line}\n`)

const { values } = programOptions(
  { name: 'mutants', usage },
  { only: { type: 'string', default: '' }, json: { type: 'string' } },
)
process.exitCode = await run(values.only, values.json ?? process.env['MUTANT_RESULTS'])

async function run(only: string, json: string | undefined): Promise<number> {
  const chosen = mutants.filter(({ name }) => name.includes(only))
  const withPlants = plants.some(({ name }) => name.includes(only))
  if (chosen.length === 0 && !withPlants) {
    process.stderr.write(`mutants: none has a name that contains ${JSON.stringify(only)}\n`)
    return 2
  }
  const startMs = performance.now()
  const mutantWidth = Math.max(...[...chosen, ...plants].map(({ name }) => name.length))
  const attacksWidth = Math.max(...mutants.map(({ attacks }) => attacks.length))
  const line = (mutant: string, attacks: string, seconds: string, foundBy: string): void =>
    write(`${mutant.padEnd(mutantWidth)}  ${attacks.padEnd(attacksWidth)}  ${seconds.padStart(7)}  ${foundBy}`)
  line('mutant', 'attacks', 'seconds', 'found by')
  const tell = ({ mutant, attacks, seconds, survived, foundBy }: Row): void =>
    line(mutant, attacks, seconds.toFixed(1), survived === null ? foundBy : `SURVIVED: ${survived}`)
  try {
    const rows = await runGate({ mutants: chosen, withPlants, signal: interrupted(), tell })
    if (json !== undefined) writeFileSync(json, JSON.stringify(asTestResults(rows)))
    const survivors = rows.filter(({ survived }) => survived !== null)
    const seconds = ((performance.now() - startMs) / 1000).toFixed(0)
    write(`${rows.length - survivors.length} of ${rows.length} planted bugs found, in ${seconds} s`)
    for (const { mutant, survived } of survivors) write(`survived: ${mutant}: ${survived}`)
    return survivors.length === 0 ? 0 : 1
  } catch (error) {
    process.stderr.write(`mutants: ${(error as Error).message}\n`)
    return 2
  }
}

/** Ctrl-C ends the tests that run; their copies of the tree are removed then. */
function interrupted(): AbortSignal {
  const controller = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => controller.abort())
  return controller.signal
}

/** As scripts/summarise-tests.ts counts them. */
function asTestResults(rows: readonly Row[]): object {
  const assertionResults = rows.map(({ mutant, survived, ...row }) => ({
    fullName: mutant,
    status: survived === null ? 'passed' : 'failed',
    failureMessages: survived === null ? [] : [survived],
    ...row,
  }))
  const status = assertionResults.every((result) => result.status === 'passed') ? 'passed' : 'failed'
  return { testResults: [{ name: 'test/mutants', status, assertionResults }] }
}
