import { CommanderError } from '../kernel/errors.ts'

/** What the operating system grants one child. All optional: absent means "as the supervisor itself". */
export interface ChildResources {
  /** -20 (first) to 19 (last); below 0 needs privileges. */
  readonly nice?: number
  /** CPUs that it may run on: `[0, 2]` or `'0-1,3'`. Linux only. */
  readonly cpus?: readonly number[] | string
  /** V8 heap, in MiB: `--max-old-space-size`. */
  readonly maxOldSpaceMb?: number
  /** V8 young generation, in MiB: `--max-semi-space-size`. */
  readonly maxSemiSpaceMb?: number
  /** libuv threads for file and DNS work: `UV_THREADPOOL_SIZE`. */
  readonly uvThreadpoolSize?: number
  /** Resident set, in MiB; above it the child is stopped gracefully and started again. */
  readonly maxRssMb?: number
  readonly env?: Readonly<Record<string, string>>
  readonly nodeOptions?: readonly string[]
}

/** Restart intensity after Erlang/OTP's supervisors: more than `maxRestarts` within `periodMs` is a fault that restarts do not cure. */
export interface RestartPolicy {
  readonly maxRestarts: number
  readonly periodMs: number
  /** Delay before the first restart; doubles with each one, up to `maxDelayMs`. */
  readonly initialDelayMs: number
  readonly maxDelayMs: number
  /** Ready for so long, and the delay starts again at `initialDelayMs`. */
  readonly minimumUptimeMs: number
}

/** JSON values only: it crosses a process boundary. */
export type ChildConfig = unknown

/** A child as data, after Erlang/OTP's child specifications. */
export interface ChildSpecification {
  /** Unique: `journal-writer`, `dispatcher`, `projection-applier`, `gateway`, `application-<name>-<n>`. */
  readonly name: string
  readonly role: string
  /** Absolute path of the program, `.ts` or `.js`. */
  readonly module: string
  /** Handed over to the child as it is. */
  readonly config: ChildConfig
  /** Names of the children that must be ready before this one starts, and that stop only after it. */
  readonly after: readonly string[]
  readonly resources: ChildResources
  readonly restart: RestartPolicy
  /** From SIGTERM to SIGKILL. */
  readonly shutdownMs: number
  /** Silence after which a running child is taken for wedged and killed. */
  readonly watchdogMs: number
  /** The same for a child that has not reported for the first time: loading modules is slow on a busy host. */
  readonly firstReportMs: number
  /** Over its intensity, an essential child takes the database down; another one is tried again every `restart.maxDelayMs`. */
  readonly essential: boolean
}

/** Gives up a crash loop after about half a minute; ten kills of healthy children within a minute are survived. */
export const restartDefaults: RestartPolicy = {
  maxRestarts: 10,
  periodMs: 60_000,
  initialDelayMs: 100,
  maxDelayMs: 5_000,
  minimumUptimeMs: 5_000,
}

export const childDefaults: Pick<ChildSpecification, 'shutdownMs' | 'watchdogMs' | 'firstReportMs'> = {
  shutdownMs: 10_000,
  watchdogMs: 10_000,
  firstReportMs: 60_000,
}

/**
 * Checks the set as a whole and puts it into an order in which every child comes after what it waits for.
 *
 * @throws CommanderError `invalid_config` for a name used twice, an unknown name in `after`, or a cycle.
 */
export function orderChildren(specifications: readonly ChildSpecification[]): ChildSpecification[] {
  const byName = new Map<string, ChildSpecification>()
  for (const specification of specifications) {
    if (byName.has(specification.name)) throw invalid(`two processes have the name ${specification.name}; rename one`)
    byName.set(specification.name, specification)
  }
  const ordered = new Set<ChildSpecification>()
  const visit = (specification: ChildSpecification, path: readonly string[]): void => {
    if (ordered.has(specification)) return
    if (path.includes(specification.name))
      throw invalid(`processes wait for each other: ${[...path, specification.name].join(' -> ')}`)
    for (const name of specification.after) {
      const former = byName.get(name)
      if (former === undefined) throw invalid(`process ${specification.name} waits for ${name}, which does not exist`)
      visit(former, [...path, specification.name])
    }
    ordered.add(specification)
  }
  for (const specification of specifications) visit(specification, [])
  return [...ordered]
}

function invalid(message: string): CommanderError {
  return new CommanderError('invalid_config', message)
}
