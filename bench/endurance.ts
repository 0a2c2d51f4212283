import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { connect } from '../src/client.ts'
import { measuredEnvironment } from './compile-cache.ts'
import { DatabaseProcess } from './database-process.ts'
import { type DiskUse, type MostDiskUse, readDiskUse, watchDiskUse } from './disk-use.ts'
import type { EnduranceOrder, EnduranceReport } from './endurance-protocol.ts'
import { median } from './median.ts'
import { type MemorySample, sampleMemory } from './memory.ts'
import { readAnonymousMiB } from './process-usage.ts'
import { accountOfFirstCommand, startToFirstCommand } from './recovery.ts'
import { deposit } from './workload.ts'

export interface EnduranceOptions {
  readonly directory: string
  readonly minutes: number
  readonly concurrency: number
  /** Between an answer and the next command of its slot: 0 is full load. */
  readonly pauseMs: number
  readonly segmentBytes: number
  readonly maxJournalBytes: number
  readonly progress: (text: string) => void
}

/** Memory without what is in files: pages of the store come and go with what else the machine does. */
interface EnduranceSample extends MemorySample {
  readonly anonymousMiB: number
}

interface Memory {
  readonly togetherMiB: number
  readonly anonymousMiB: number
  readonly byProcess: Readonly<Record<string, number>>
}

export interface Endurance {
  readonly minutes: number
  readonly commands: number
  readonly commandsPerSecond: number
  /** Of one minute each. */
  readonly leastPerSecond: number
  readonly journal: MostDiskUse
  /** `maxJournalBytes` and one segment. */
  readonly journalBytesMax: number
  /** All that went through the journal. */
  readonly writtenBytes: number
  /** Medians of the second, the middle and the last tenth of the samples. */
  readonly memory: { readonly start: Memory; readonly middle: Memory; readonly end: Memory; readonly mostMiB: number }
  readonly restarts: number
  readonly store: DiskUse
  /** After kill -9 of everything at the end: to the first new command. */
  readonly recoveryMilliseconds: number
  readonly accounts: number
  /** Whose balance is not the sum of what was answered. */
  readonly wrongAccounts: readonly string[]
}

const client = join(import.meta.dirname, 'endurance-client.ts')
const application = join(import.meta.dirname, 'endurance-application.ts')
const accounts = 200
const memoryIntervalMs = 2000

/** A new database under even load for minutes, with a small journal and an archive; then killed, recovered and added up. */
export async function measureEndurance(options: EnduranceOptions): Promise<Endurance> {
  const { directory, segmentBytes, maxJournalBytes, progress } = options
  const dataDir = join(directory, 'endurance')
  const archive = join(directory, 'endurance-archive')
  const config = { journal: { segmentBytes, maxJournalBytes }, archive: { directory: archive } }
  const how = { module: application, config }
  let database = await DatabaseProcess.start({ dataDir, ...how })
  const disk = watchDiskUse(join(dataDir, 'journal'))
  try {
    const samples: EnduranceSample[] = []
    const before = await database.processes()
    const report = await load(options, dataDir, async () => {
      const processes = await database.processes()
      samples.push({
        ...sampleMemory(processes, 0),
        anonymousMiB: sumOf(processes.map(({ pid }) => readAnonymousMiB(pid))),
      })
    })
    const after = await database.processes()
    const journal = disk.stop()
    await database.kill()
    progress('recovery')
    const { milliseconds } = await startToFirstCommand(dataDir, how)
    progress('adding up')
    database = await DatabaseProcess.start({ dataDir, ...how })
    const wrongAccounts = await wrongOf(dataDir, report)
    return {
      ...ratesOf(report),
      minutes: options.minutes,
      journal,
      journalBytesMax: maxJournalBytes + segmentBytes,
      writtenBytes: report.bytes,
      memory: memoryOf(samples),
      restarts: after.filter(({ pid }) => before.every((other) => other.pid !== pid)).length,
      store: readDiskUse(join(dataDir, 'store')),
      recoveryMilliseconds: milliseconds,
      accounts,
      wrongAccounts,
    }
  } finally {
    disk.stop()
    await database.kill()
    database.remove()
    rmSync(archive, { recursive: true, force: true })
  }
}

/** `look` is called every two seconds meanwhile. */
async function load(options: EnduranceOptions, dataDir: string, look: () => Promise<void>): Promise<EnduranceReport> {
  const { minutes, concurrency, pauseMs, progress } = options
  const order: EnduranceOrder = { dataDir, accounts, concurrency, pauseMs, seconds: minutes * 60 }
  const process = fork(client, [JSON.stringify(order)], { env: measuredEnvironment() })
  let isOver = false
  try {
    const over = lastReport(process, progress).finally(() => {
      isOver = true
    })
    const looking = async (): Promise<void> => {
      for (; !isOver; await pause(memoryIntervalMs)) await look()
    }
    const [report] = await Promise.all([over, looking()])
    return report
  } finally {
    process.kill('SIGKILL')
  }
}

function lastReport(client: ChildProcess, progress: (text: string) => void): Promise<EnduranceReport> {
  return new Promise((resolve, reject) => {
    client.on('message', (message) => {
      const report = message as EnduranceReport
      if (report.isLast) resolve(report)
      else progress(`${report.commands} commands, ${report.perMinute.at(-1)} in the last minute`)
    })
    once(client, 'exit').then(([code, signal]) => reject(new Error(`the client ended with ${code ?? signal}`)), reject)
  })
}

/** Of each account, whether it holds what was answered; the one that the recovery began with has one deposit more. */
async function wrongOf(dataDir: string, { sums }: EnduranceReport): Promise<readonly string[]> {
  const db = await connect({ dataDir })
  try {
    const wrong: string[] = []
    for (const [account, answered] of Object.entries(sums)) {
      const { state } = await db.read('account', account)
      const { balance } = state as { balance: number }
      const sum = account === accountOfFirstCommand ? answered + deposit.amount : answered
      if (balance !== sum) wrong.push(`${account}: ${balance} instead of ${sum}`)
    }
    return wrong
  } finally {
    await db.close()
  }
}

function ratesOf({
  commands,
  seconds,
  perMinute,
}: EnduranceReport): Pick<Endurance, 'commands' | 'commandsPerSecond' | 'leastPerSecond'> {
  return { commands, commandsPerSecond: commands / seconds, leastPerSecond: Math.min(...perMinute) / 60 }
}

function memoryOf(samples: readonly EnduranceSample[]): Endurance['memory'] {
  return {
    start: tenth(samples, 1),
    middle: tenth(samples, 5),
    end: tenth(samples, 9),
    mostMiB: Math.max(...samples.map(({ together }) => together)),
  }
}

function tenth(samples: readonly EnduranceSample[], n: number): Memory {
  const some = samples.slice(Math.floor((samples.length * n) / 10), Math.ceil((samples.length * (n + 1)) / 10))
  const names = Object.keys(some[0]?.byProcess ?? {})
  return {
    togetherMiB: median(some.map(({ together }) => together)),
    anonymousMiB: median(some.map(({ anonymousMiB }) => anonymousMiB)),
    byProcess: Object.fromEntries(
      names.map((name) => [name, median(some.map(({ byProcess }) => byProcess[name] ?? Number.NaN))]),
    ),
  }
}

const sumOf = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0)
