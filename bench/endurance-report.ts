import type { Endurance } from './endurance.ts'
import { atMost, type Target } from './targets.ts'

/** Beyond it memory grows with time. */
const growthMax = 1.1
/** In shorter runs heaps and caches have not found their size by the second tenth. */
const growthMinutesMin = 20
const recoveryMsMax = 3000

export function enduranceTargets(run: Endurance): readonly Target[] {
  const { journal, journalBytesMax, memory } = run
  return [
    atMost('journal, lengths, of what it may take', journal.sizeBytes / journalBytesMax, 1, ''),
    atMost('journal, allocated, of what it may take', journal.allocatedBytes / journalBytesMax, 1, ''),
    atMost('memory in no file, end of middle', memory.end.anonymousMiB / memory.middle.anonymousMiB, growthMax, ''),
    ...(run.minutes < growthMinutesMin
      ? []
      : [
          atMost('memory in no file, end of start', memory.end.anonymousMiB / memory.start.anonymousMiB, growthMax, ''),
        ]),
    atMost('memory, the most', memory.mostMiB, 900, 'MiB'),
    atMost('restarts of processes', run.restarts, 0, ''),
    atMost('accounts with a wrong balance', run.wrongAccounts.length, 0, ''),
    atMost('recovery at the end', run.recoveryMilliseconds, recoveryMsMax, 'ms'),
  ]
}

/** For people. Everything in it is in the JSON, too. */
export function printEndurance(run: Endurance): void {
  const { memory, journal } = run
  const columns = [memory.start, memory.middle, memory.end]
  console.log(`memory (PSS), MiB${['start', 'middle', 'end'].map((title) => title.padStart(10)).join('')}`)
  const row = (name: string, values: readonly number[]): void =>
    console.log(`  ${name.padEnd(24)}${values.map((value) => value.toFixed(0).padStart(8)).join('  ')}`)
  for (const name of Object.keys(memory.start.byProcess)) {
    row(
      name,
      columns.map(({ byProcess }) => byProcess[name] ?? Number.NaN),
    )
  }
  row(
    'together',
    columns.map(({ togetherMiB }) => togetherMiB),
  )
  row(
    'of that in no file',
    columns.map(({ anonymousMiB }) => anonymousMiB),
  )
  console.log(`the most together: ${memory.mostMiB.toFixed(0)} MiB`)
  const [least, mean] = [run.leastPerSecond.toFixed(0), run.commandsPerSecond.toFixed(0)]
  console.log(`${run.commands} commands in ${run.minutes} min: ${mean}/s, in the slowest minute ${least}/s`)
  const times = (run.writtenBytes / run.journalBytesMax).toFixed(1)
  console.log(
    `the journal took ${mebibytes(journal.sizeBytes)} (allocated ${mebibytes(journal.allocatedBytes)}) in ${journal.looks} looks; ` +
      `it may take ${mebibytes(run.journalBytesMax)}, and data of ${times} times that went through it`,
  )
  console.log(`the store takes ${mebibytes(run.store.sizeBytes)}; recovery: ${run.recoveryMilliseconds.toFixed(0)} ms`)
  const wrong = run.wrongAccounts.length
  console.log(wrong === 0 ? `all ${run.accounts} accounts hold what was answered` : run.wrongAccounts.join('\n'))
}

const mebibytes = (bytes: number): string => `${(bytes / 1_048_576).toFixed(1)} MiB`
