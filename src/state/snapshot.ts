import type { ReplyAddress } from '../actions/action.ts'
import { lengthOf } from '../actions/entry-layout.ts'
import { pack, unpack } from '../actions/message-pack.ts'
import { digest16 } from '../kernel/checksum.ts'
import { type Lsn, lsn, token } from '../kernel/identifiers.ts'
import { NumberMap } from '../kernel/number-map.ts'
import { type Activation, addActivation } from './activations.ts'
import { type ApplicationInstance, rebalance } from './applications.ts'
import { addPending, blockAggregate, type PendingCommand } from './commands.ts'
import type { MigrationState, RewrittenForm, TypeVersion } from './migrations.ts'
import { addMessage, type OutboxMessage } from './outbox.ts'
import { type Lane, laneKey, type Place } from './queues.ts'
import { emptyRoot, type RootOptions, type RootState } from './root.ts'
import type { ScheduleState } from './schedules.ts'

interface CommandForm {
  readonly lsn: number
  readonly key: string
  readonly hash: number
  readonly bytes: number
  readonly instance: string
  readonly token: number
  readonly attempts: number
  readonly crashes: number
  readonly retryAtMs: number
  /** Absent for 0. */
  readonly version?: number
  readonly retryDelayMs: number
  /** Absent for null. */
  readonly reply?: ReplyAddress
  /** Absent for null. */
  readonly place?: Place
}

interface RootForm {
  readonly lsn: number
  readonly globalPosition: number
  readonly counts: readonly [completed: number, rejected: number, parked: number]
  readonly commands: readonly CommandForm[]
  readonly blocked: readonly (readonly [key: string, hash: number, by: number])[]
  readonly applications: readonly ApplicationInstance[]
  readonly sessions: readonly (readonly [
    id: number,
    lastLsn: number,
    answeredBelow: number,
    calls: readonly number[],
  ])[]
  readonly expiredUntilMs: number
  readonly expiriesByMinute: readonly (readonly [minute: number, count: number])[]
  /** Absent where there never was one. */
  readonly migrations?: MigrationsForm
  /** Absent where there is none. */
  readonly activations?: readonly Activation[]
  readonly outbox?: readonly Omit<OutboxMessage, 'data'>[]
  readonly schedules?: readonly ScheduleState[]
  /** Lanes in their own order. Absent where nothing is counted. */
  readonly queues?: {
    readonly latestMs: number
    readonly lanes: readonly Lane[]
    readonly holders: readonly (readonly [workflow: string, lane: string])[]
  }
}

interface MigrationsForm {
  readonly versions: readonly (readonly [type: string, TypeVersion])[]
  readonly byType: readonly MigrationForm[]
}

interface MigrationForm extends Omit<MigrationState, 'commands' | 'parkedOld'> {
  readonly commands: readonly (readonly [command: number, bytes: number])[]
  readonly parkedOld: readonly number[]
}

/** The state as plain data in one order, whatever the order it came about in. */
function formOf(state: RootState): RootForm {
  const { commands, applications, idempotency } = state
  return {
    lsn: state.lsn,
    globalPosition: state.globalPosition,
    counts: [commands.completed, commands.rejected, commands.parked],
    commands: sortedCommands(state).map(commandForm),
    blocked: [...commands.byAggregate.values()]
      .filter((queue) => queue.blockedBy !== 0)
      .map((queue) => [queue.key, queue.hash, queue.blockedBy] as const)
      .sort((a, b) => a[2] - b[2]),
    applications: [...applications.byInstance.values()].sort((a, b) => (a.instance < b.instance ? -1 : 1)),
    sessions: [...idempotency.sessions]
      .sort((a, b) => a[0] - b[0])
      .map(([id, s]) => [id, s.lastLsn, s.answeredBelow, [...s.calls].sort((a, b) => a[0] - b[0]).flat()]),
    expiredUntilMs: idempotency.expiredUntilMs,
    expiriesByMinute: [...idempotency.expiriesByMinute].sort((a, b) => a[0] - b[0]),
    ...migrationsForm(state),
    ...workflowsForm(state),
    ...queuesForm(state),
  }
}

function queuesForm({ queues: { lanes, holders, latestMs } }: RootState): Pick<RootForm, 'queues'> {
  if (latestMs === 0 && lanes.size === 0) return {}
  return { queues: { latestMs, lanes: [...lanes.values()], holders: [...holders].sort(byText) } }
}

function workflowsForm(state: RootState): Pick<RootForm, 'activations' | 'outbox' | 'schedules'> {
  const schedules = [...state.schedules.byName].sort(byText).map(([, schedule]) => schedule)
  const activations = [...state.activations.byKey.values()].sort((a, b) => a.lsn - b.lsn)
  const outbox = sortedMessages(state).map(({ data: _, ...message }) => message)
  return {
    ...(activations.length === 0 ? {} : { activations }),
    ...(outbox.length === 0 ? {} : { outbox }),
    ...(schedules.length === 0 ? {} : { schedules }),
  }
}

const sortedMessages = ({ outbox }: RootState): OutboxMessage[] =>
  [...outbox.bySource.values()].flat().sort((a, b) => a.source - b.source || a.index - b.index)

function migrationsForm({ migrations: { byType, versions } }: RootState): Pick<RootForm, 'migrations'> {
  if (byType.size === 0 && versions.size === 0) return {}
  return {
    migrations: {
      versions: [...versions].sort(byText),
      byType: [...byType].sort(byText).map(([, migration]) => ({
        ...migration,
        commands: sortedForms(migration).map(([command, { bytes }]) => [command, bytes] as const),
        parkedOld: [...migration.parkedOld].sort((a, b) => a - b),
      })),
    },
  }
}

const byText = (a: readonly [string, unknown], b: readonly [string, unknown]): number => (a[0] < b[0] ? -1 : 1)

const sortedForms = ({ commands }: MigrationState): [Lsn, RewrittenForm][] => [...commands].sort((a, b) => a[0] - b[0])

const sortedCommands = (state: RootState): PendingCommand[] =>
  [...state.commands.byLsn.values()].sort((a, b) => a.lsn - b.lsn)

const commandForm = (command: PendingCommand): CommandForm => ({
  lsn: command.lsn,
  key: command.queue.key,
  hash: command.queue.hash,
  bytes: command.bytes,
  instance: command.instance,
  token: command.token,
  attempts: command.attempts,
  crashes: command.crashes,
  retryAtMs: command.retryAtMs,
  ...(command.version === 0 ? {} : { version: command.version }),
  retryDelayMs: command.retryDelayMs,
  ...(command.reply === null ? {} : { reply: command.reply }),
  ...(command.place === null ? {} : { place: command.place }),
})

/** Raised with everything that makes another hash of the same entries: nodes of both versions follow one stream for a while. */
export const stateHashForm = 1

/** Equal in every process that has applied the same LSN (G7). 32 hexadecimal digits. */
export const stateHash = (state: RootState): string => digest16(pack(formOf(state))).toString('hex')

/** The whole state with the payloads of pending commands, to start a child from. */
export function encodeRoot(state: RootState): Buffer {
  const payloads = sortedCommands(state).map(({ source, at }) =>
    source === null ? Buffer.alloc(0) : source.subarray(at, at + lengthOf(source, at)),
  )
  const form = formOf(state)
  const rewritten = (form.migrations?.byType ?? []).map(({ type }) =>
    sortedForms(state.migrations.byType.get(type) as MigrationState).map(([, { source }]) => source ?? Buffer.alloc(0)),
  )
  const messages = sortedMessages(state).map(({ data }) => data)
  return Buffer.from(pack({ form, payloads, rewritten, messages }))
}

export function decodeRoot(bytes: Buffer, options: RootOptions): RootState {
  const { form, payloads, rewritten, messages } = unpack(bytes, 0, bytes.length) as {
    form: RootForm
    payloads: Uint8Array[]
    rewritten?: Uint8Array[][]
    messages?: Uint8Array[]
  }
  const state = emptyRoot(options)
  state.lsn = lsn(form.lsn)
  state.globalPosition = form.globalPosition
  const { commands, applications, idempotency } = state
  ;[commands.completed, commands.rejected, commands.parked] = form.counts
  form.commands.forEach((c, i) => {
    const bytes = payloads[i]
    const payload = options.keepsPayloads && bytes !== undefined ? Buffer.from(bytes) : null
    const command = addPending(commands, lsn(c.lsn), c.key, c.hash, c.bytes, payload, 0, c.version ?? 0)
    command.instance = c.instance
    command.token = token(c.token)
    command.attempts = c.attempts
    command.crashes = c.crashes
    command.retryAtMs = c.retryAtMs
    command.retryDelayMs = c.retryDelayMs
    command.reply = c.reply ?? null
    command.place = c.place ?? null
  })
  for (const [key, hash, by] of form.blocked) blockAggregate(commands, key, hash, lsn(by))
  for (const instance of form.applications) applications.byInstance.set(instance.instance, instance)
  if (form.migrations !== undefined) decodeMigrations(state, form.migrations, rewritten ?? [])
  decodeWorkflows(state, form, messages ?? [])
  rebalance(applications, state.migrations.versions)
  for (const [id, lastLsn, answeredBelow, calls] of form.sessions) {
    const session = { lastLsn: lsn(lastLsn), answeredBelow, calls: new NumberMap<Lsn>() }
    for (let i = 0; i < calls.length; i += 2) session.calls.set(calls[i] as number, lsn(calls[i + 1] as number))
    idempotency.sessions.set(id, session)
  }
  idempotency.expiredUntilMs = form.expiredUntilMs
  for (const [minute, count] of form.expiriesByMinute) idempotency.expiriesByMinute.set(minute, count)
  return state
}

function decodeWorkflows(state: RootState, form: RootForm, messages: readonly Uint8Array[]): void {
  for (const activation of form.activations ?? []) addActivation(state.activations, { ...activation })
  for (const [i, message] of (form.outbox ?? []).entries())
    addMessage(state.outbox, { ...message, data: Buffer.from(messages[i] ?? []) })
  for (const lane of form.queues?.lanes ?? []) state.queues.lanes.set(laneKey(lane), lane)
  for (const [workflow, lane] of form.queues?.holders ?? []) state.queues.holders.set(workflow, lane)
  state.queues.latestMs = form.queues?.latestMs ?? 0
  for (const schedule of form.schedules ?? []) state.schedules.byName.set(schedule.form.name, schedule)
}

function decodeMigrations(state: RootState, form: MigrationsForm, rewritten: readonly Uint8Array[][]): void {
  const { byType, versions } = state.migrations
  for (const [type, version] of form.versions) versions.set(type, version)
  for (const [i, { commands, parkedOld, ...rest }] of form.byType.entries()) {
    const forms = commands.map(([command, bytes], j): [Lsn, RewrittenForm] => {
      const source = rewritten[i]?.[j]
      const isKept = state.keepsPayloads && source !== undefined
      return [lsn(command), { bytes, source: isKept ? Buffer.from(source) : null }]
    })
    byType.set(rest.type, { ...rest, commands: new Map(forms), parkedOld: new Set(parkedOld.map(lsn)) })
  }
}
