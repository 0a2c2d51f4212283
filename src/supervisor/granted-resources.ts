import {
  type ChildResources,
  type ChildSpecification,
  childDefaults,
  type RestartPolicy,
  restartDefaults,
} from './child-specification.ts'

/** What the config says of one process. */
export type SupervisedResources = ChildResources & {
  readonly restart: Omit<RestartPolicy, 'minimumUptimeMs'>
  readonly shutdownMs: number
}

type Granted = Pick<ChildSpecification, 'resources' | 'restart' | 'shutdownMs' | 'watchdogMs' | 'firstReportMs'>

/**
 * Half of Node's young generation at its largest: measured at full load it costs no processor time, and six processes
 * at rest and under load take a third less memory.
 */
const maxSemiSpaceMb = 16

/**
 * These two handle many bytes outside of V8's heap and few objects in it. Until a collection of the young generation frees those, they
 * count as grown memory, for which V8 collects the whole heap: at full load twice a second with 16 MiB, and with these servers every four seconds,
 * the writer once a second.
 */
const maxSemiSpaceMbOf: Readonly<Record<string, number>> = { 'journal-writer': 2, 'journal-server': 1 }

/** What a process gets, with defaults that were measured for its role. */
export function granted(role: string, { restart, shutdownMs, ...rest }: SupervisedResources): Granted {
  return {
    ...childDefaults,
    resources: { maxSemiSpaceMb: maxSemiSpaceMbOf[role] ?? maxSemiSpaceMb, ...rest },
    restart: { ...restartDefaults, ...restart },
    shutdownMs,
  }
}
