import { type AdmissionLimits, defaultAdmissionLimits } from '../gateway/admission.ts'
import { ApplyWaiter, type AskStoreTrouble } from '../gateway/apply-waiter.ts'
import { ClientServer } from '../gateway/client-server.ts'
import { Gateway } from '../gateway/gateway.ts'
import { Queries } from '../gateway/queries.ts'
import { StreamOperations } from '../gateway/stream-operations.ts'
import { WorkflowReads } from '../gateway/workflow-reads.ts'
import { askApplier } from '../ipc/applier-client.ts'
import type { JournalOptions } from '../journal/options.ts'
import { asCommanderError, type CommanderError } from '../kernel/errors.ts'
import type { Follower } from '../replica/follower.ts'
import type { Application } from '../sdk/application.ts'
import { ArchivedStreams } from '../tables/archived-streams.ts'
import { keyLookup } from '../tables/idempotency-keys.ts'
import { readRoot } from '../tables/meta.ts'
import { draftBytesMax } from './draft-bytes.ts'
import { followerOf, newOrigin } from './start-follower.ts'
import type { RunningRole, Surroundings } from './surroundings.ts'

export interface GatewaySettings {
  readonly applications: readonly Application[]
  readonly limits?: Partial<AdmissionLimits>
  /** Says how large a draft may be. Default: `defaultJournalOptions`. */
  readonly journal?: JournalOptions | undefined
  /** Asked when a read has waited in vain for the store. */
  readonly askStoreTrouble?: AskStoreTrouble
}

export interface RunningGateway extends RunningRole {
  readonly gateway: Gateway
  readonly queries: Queries
  readonly waiter: ApplyWaiter
  readonly streams: StreamOperations
  readonly workflows: WorkflowReads
  readonly follower: Follower
  readonly rebuild: (name: string, done: (error: CommanderError | null) => void) => void
}

/** No command may be larger than what one frame of the journal holds. */
function admissionLimits({ limits = {}, journal }: GatewaySettings): Partial<AdmissionLimits> {
  const most = draftBytesMax(journal) - draftRoomBytes
  return { ...limits, payloadBytes: Math.min(limits.payloadBytes ?? defaultAdmissionLimits.payloadBytes, most) }
}

/** For everything in a draft but the data. */
const draftRoomBytes = 16_384
const drainMs = 5000
const drainCheckMs = 20

export async function startGateway(surroundings: Surroundings, settings: GatewaySettings): Promise<RunningGateway> {
  const { environment, transport, addresses, openStore, failed } = surroundings
  const store = openStore('read')
  const state = readRoot(store, { lookup: keyLookup(store), keepsPayloads: false })
  const origin = newOrigin(surroundings)
  const archived = new ArchivedStreams(surroundings.vault ?? null)
  const gateway = new Gateway({
    archived,
    environment,
    store,
    state,
    origin,
    reset: failed,
    ...settings,
    limits: admissionLimits(settings),
  })
  const queries = new Queries(gateway, store, settings.applications, archived)
  const waiter = new ApplyWaiter(gateway, environment, settings.askStoreTrouble)
  const follower = followerOf(surroundings, gateway, { name: 'gateway', origin, followsFlush: true, after: state.lsn })
  const rebuild: RunningGateway['rebuild'] = (name, done) => {
    askApplier(transport, addresses.applier, { ask: 'rebuild', name }).then(
      () => done(null),
      (error: unknown) => done(asCommanderError(error)),
    )
  }
  const streams = new StreamOperations({
    environment,
    gateway,
    queries,
    waiter,
    vault: surroundings.vault ?? null,
  })
  const workflows = new WorkflowReads(environment, store, queries)
  const server = new ClientServer({ environment, gateway, queries, waiter, streams, workflows, rebuild })
  gateway.start(follower)
  const listener = await transport.listen(addresses.gateway, (channel) => server.accept(channel))
  const stop = async (): Promise<void> => {
    gateway.drain()
    await drained(surroundings, gateway)
    await listener.close()
    gateway.stop()
    await store.close()
  }
  return { gateway, queries, waiter, streams, workflows, follower, rebuild, stop }
}

/** Calls under way get their answers before the connections end, within a bound. */
async function drained({ environment }: Surroundings, gateway: Gateway): Promise<void> {
  const untilMs = environment.clock.monotonicMs() + drainMs
  while (gateway.pendingCalls > 0 && environment.clock.monotonicMs() < untilMs) {
    await new Promise<void>((resolve) => environment.scheduler.after(drainCheckMs, resolve))
  }
}
