import { runCli } from '../src/cli/main.ts'

/** What a command line cost, as its own process knows it. */
export interface RestoreEnd {
  /** Of all threads. */
  readonly cpuMicros: number
}

/** The command line of its arguments, which says at its end what it cost. */
const exitCode = await runCli(process.argv.slice(2))
const { user, system } = process.cpuUsage()
const end: RestoreEnd = { cpuMicros: user + system }
process.send?.(end, () => process.exit(exitCode))
