import type { EndOfIncarnation } from '../actions/action.ts'
import { ApplicationRuntime } from '../application/application-runtime.ts'
import type { JournalOptions } from '../journal/options.ts'
import type { Follower } from '../replica/follower.ts'
import { followerOfInstance } from '../replica/follower-names.ts'
import type { Application } from '../sdk/application.ts'
import { ArchivedStreams } from '../tables/archived-streams.ts'
import { keyLookup } from '../tables/idempotency-keys.ts'
import { readRoot } from '../tables/meta.ts'
import type { Isolation } from '../workflows/isolation.ts'
import { draftBytesMax } from './draft-bytes.ts'
import { followerOf, newOrigin } from './start-follower.ts'
import type { RunningRole, Surroundings } from './surroundings.ts'

export interface ApplicationSettings {
  readonly application: Application
  /** Counts from 1. */
  readonly instance: number
  readonly former: EndOfIncarnation
  /** Memory for aggregates, in bytes of estimated heap. Default 64 MiB. */
  readonly liveBytesMax?: number
  /** Says how large a draft may be. Default: `defaultJournalOptions`. */
  readonly journal?: JournalOptions | undefined
  /** Tells which workflow's code is running. Default: nobody is told. */
  readonly isolation?: Isolation
  /** An effect of a workflow failed in every attempt. Default: nobody is told. */
  readonly effectFailed?: () => void
}

export interface RunningApplication extends RunningRole {
  readonly runtime: ApplicationRuntime
  readonly follower: Follower
}

const liveBytesDefault = 67_108_864
const goodbyeMs = 20

/** Half of the database's id: enough to tell apart those that call the same systems. */
const effectKeyPrefixOf = (journalId: Uint8Array): string => Buffer.from(journalId).toString('hex').slice(0, 16)

export function startApplication(surroundings: Surroundings, settings: ApplicationSettings): RunningApplication {
  const { environment, openStore, failed, journalId } = surroundings
  const store = openStore('read')
  const state = readRoot(store, { lookup: keyLookup(store), keepsPayloads: true })
  const origin = newOrigin(surroundings)
  const instance = `${settings.application.name}-${settings.instance}`
  const runtime = new ApplicationRuntime({
    environment,
    application: settings.application,
    instance,
    origin,
    state,
    store,
    archived: new ArchivedStreams(surroundings.vault ?? null),
    former: settings.former,
    liveBytesMax: settings.liveBytesMax ?? liveBytesDefault,
    draftBytesMax: draftBytesMax(settings.journal),
    reset: failed,
    effectKeyPrefix: effectKeyPrefixOf(journalId),
    effectFailed: settings.effectFailed ?? (() => {}),
    ...(settings.isolation === undefined ? {} : { isolation: settings.isolation }),
  })
  const name = followerOfInstance(instance)
  // What workflows do outside waits until it is flushed that they do it.
  const followsFlush = settings.application.workflows.length > 0
  const follower = followerOf(surroundings, runtime, { name, origin, ordered: true, followsFlush, after: state.lsn })
  runtime.start(follower)
  const stop = async (): Promise<void> => {
    runtime.deregister()
    await new Promise<void>((resolve) => environment.scheduler.after(goodbyeMs, resolve))
    runtime.stop()
    await store.close()
  }
  return { runtime, follower, stop }
}
