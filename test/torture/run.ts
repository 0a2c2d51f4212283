import { cpSync, writeFileSync } from 'node:fs'
import { programOptions } from '../../scripts/program-options.ts'
import { SeededRandom } from '../../src/testing/seeded-random.ts'
import { etcdRefusal } from '../contract/etcd-world.ts'
import { clusterFaults } from './cluster/cluster-faults.ts'
import { ClusterTorture } from './cluster/cluster-torture.ts'
import { rowOf } from './faults.ts'
import { anyFault } from './plan.ts'
import { asTable } from './report.ts'
import { mountingRefusal } from './small-disk.ts'
import { emptyResult, Torture } from './torture.ts'
import { tracingRefusal } from './traced-writer.ts'

const usage = `npm run torture -- [--cluster] [--minutes M] [--cycles N] [--seed S] [--json FILE]

Kills, stops and starves a database under load, and looks whether anything is lost. Ends after M (5) minutes, or as soon as N cycles
with a kill are over. Exit code 1 when anything acknowledged was lost, came twice, or is not as it must be.

  --cluster      two nodes, journal servers and three members of etcd
  --seed S       of what happens; default another one each time
  --json FILE    the result as JSON, too`
const { values, number } = programOptions(
  { name: 'torture', usage },
  {
    cluster: { type: 'boolean', default: false },
    minutes: { type: 'string', default: '5' },
    cycles: { type: 'string', default: 'Infinity' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    json: { type: 'string' },
  },
)
const seed = number('seed', { isWhole: true })
const cyclesMax = number('cycles', { min: 1, isWhole: true })
const endMs = performance.now() + number('minutes') * 60_000
const cyclesPerDatabase = 25
const write = (line: string): void => void process.stdout.write(`${line}\n`)

const random = new SeededRandom(seed)
const result = emptyResult(seed)
const isOver = (): boolean =>
  performance.now() > endMs || result.killCycles >= cyclesMax || result.violations.length > 0

write(`seed ${seed}`)
const rounds = values.cluster ? clusterRounds() : databaseRounds()
for await (const round of rounds) {
  try {
    await round.start()
    for (let cycle = 0; cycle < cyclesPerDatabase && !isOver(); cycle++) {
      const { name, unavailableMs } = await round.cycle()
      write(`${result.cycles}. ${name}: ${result.acknowledged} acknowledged, ${unavailableMs} ms without an answer`)
    }
    await round.finish()
  } catch (error) {
    result.violations.push((error as Error).stack ?? String(error))
  }
  if (result.violations.length > 0) keepLogs(round.logPaths)
  await round.remove()
  if (isOver()) break
}

write(asTable(result))
if (values.json !== undefined)
  writeFileSync(
    values.json,
    `${JSON.stringify({ ...result, rows: Object.fromEntries(result.rows), errors: Object.fromEntries(result.errors) }, null, 2)}\n`,
  )
process.exitCode = result.violations.length === 0 && result.lost === 0 && result.duplicated === 0 ? 0 : 1

interface Round {
  readonly logPaths: readonly string[]
  start(): Promise<void>
  cycle(): Promise<{ readonly name: string; readonly unavailableMs: number }>
  finish(): Promise<void>
  remove(): Promise<void>
}

function* databaseRounds(): Generator<Round> {
  const refusals = { trace: tracingRefusal(), disk: mountingRefusal() }
  for (const refusal of Object.values(refusals)) if (refusal !== null) write(`skipped: ${refusal}`)
  for (let round = 1; ; round++) {
    // Every other database lies on a disk that can be filled.
    const hasDisk = refusals.disk === null && round % 2 === 0
    const torture = new Torture(random.uint32(), result, hasDisk)
    yield {
      logPaths: [torture.logPath],
      start: () => torture.start(),
      cycle: async () => {
        const fault = anyFault(random, { canTrace: refusals.trace === null, hasDisk })
        return { name: rowOf(fault), unavailableMs: await torture.cycle(fault) }
      },
      finish: () => torture.finish(),
      remove: () => torture.remove(),
    }
  }
}

async function* clusterRounds(): AsyncGenerator<Round> {
  const refusal = etcdRefusal()
  if (refusal !== null) {
    result.violations.push(refusal)
    return
  }
  for (;;) {
    const torture = await ClusterTorture.create(random.uint32(), result)
    yield {
      logPaths: torture.logPaths,
      start: () => torture.start(),
      cycle: async () => {
        const fault = random.pick(clusterFaults)
        return { name: fault, unavailableMs: await torture.cycle(fault) }
      },
      finish: () => torture.finish(),
      remove: () => torture.remove(),
    }
  }
}

function keepLogs(paths: readonly string[]): void {
  for (const [i, path] of paths.entries()) {
    const kept = `torture-${seed}${paths.length > 1 ? `-${i + 1}` : ''}.log`
    cpSync(path, kept)
    write(`the log of the database is kept in ${kept}`)
  }
}
