import { newestTimeline } from '../../src/archive/sealed-segments.ts'
import type { Lsn } from '../../src/kernel/identifiers.ts'
import { stateHash } from '../../src/state/snapshot.ts'
import { ArchivedStreams } from '../../src/tables/archived-streams.ts'
import type { SimulatedHost } from '../../src/testing/simulated-host.ts'
import { checkAnswer, checkExactlyOnce, checkRead, checkState, checkStore, checkSubscription } from './checks.ts'
import type { Workload } from './client.ts'
import type { Cluster } from './cluster.ts'
import type { FormerModels } from './former-models.ts'
import type { Frame } from './journal-entries.ts'
import { checkView, type Keeper } from './keeper.ts'
import { Model } from './model.ts'
import type { Observers } from './observers.ts'
import { checkRestored } from './restored.ts'
import type { StateWatch } from './state-watch.ts'

export interface EndedHistory {
  readonly host: SimulatedHost
  readonly cluster: Cluster
  readonly workload: Workload
  readonly observers: Observers
  readonly keeper: Keeper | null
  readonly watch: StateWatch
  readonly formers: FormerModels
  /** Old segments were given up: the archive may never have had them. */
  readonly hasLostOlder: boolean
  readonly violate: (what: string) => void
}

/** What was seen on the way, for those who ask whether enough happened. */
export interface Seen {
  readonly voidDeletions: number
  readonly restoredSegments: number
}

/** Holds everything that anybody was told, and everything in the store and the archive, against the whole journal. */
export async function checkHistory(history: EndedHistory, frames: readonly Frame[], upTo: Lsn): Promise<Seen> {
  const { host, observers, watch, violate } = history
  const model = new Model()
  for (const { entries } of frames) for (const entry of entries) model.fold(entry)
  for (const what of model.violations) violate(what)
  if (model.voidStarts > model.voidable)
    violate(`${model.voidStarts} of ${model.starts} assignments were void, where at most ${model.voidable} could be`)
  checkExactlyOnce(model, violate)
  checkTold(history, model)
  await checkStore(host.store.now(), new ArchivedStreams(host.archive?.ownVault ?? null), model, violate)
  checkSubscription(observers.subscribed, model, violate)
  const hashes = watch.replay(frames, new Set(model.checkpoints.map((checkpoint) => checkpoint.upTo)))
  for (const checkpoint of model.checkpoints) {
    const replayed = hashes.get(checkpoint.upTo)
    if (replayed !== checkpoint.stateHash)
      violate(`G7: the checkpoint at ${checkpoint.upTo} has state ${checkpoint.stateHash}, a replay ${replayed}`)
  }
  const restoredSegments = await checkArchive(history, upTo, model.events.length)
  return { voidDeletions: model.voidDeletions, restoredSegments }
}

/** Everything that anybody was told is true, or was true until entries were lost. */
function checkTold({ workload, observers, keeper, formers }: EndedHistory, model: Model): void {
  for (const call of workload.calls)
    formers.check(
      model,
      ({ atMs }) => call.startedMs <= atMs,
      (one, violate) => checkAnswer(call, one, workload.powerEpoch, violate),
    )
  for (const { what, event } of observers.read)
    formers.check(
      model,
      ({ endLsn }) => event.lsn > endLsn,
      (one, violate) => checkRead(what, event, one, violate),
    )
  for (const read of observers.states)
    formers.check(
      model,
      ({ model: former, endLsn }) => former.aggregate(read.key).events.some((event) => event.lsn > endLsn),
      (one, violate) => checkState(read, one, violate),
    )
  for (const view of keeper?.views ?? [])
    formers.check(
      model,
      () => true,
      (one, violate) => checkView(view, one, violate),
    )
}

async function checkArchive({ host, cluster, ...rest }: EndedHistory, upTo: Lsn, events: number): Promise<number> {
  const { archive, disk, random } = host
  const { hasLostOlder, violate } = rest
  const state = cluster.slot('projection-applier').running?.state()
  if (archive === null || state == null || hasLostOlder) return 0
  const { objects } = archive
  // Of a timeline that began and has nothing in the archive yet, a restore can only give what went before, lost or not.
  const own = `segments/${String(newestTimeline(disk)).padStart(8, '0')}/`
  if (cluster.losses.length > 0 && ![...objects.keys()].some((name) => name.startsWith(own))) return 0
  return checkRestored({ objects, disk, upTo, stateHash: stateHash(state), events, random, violate })
}
