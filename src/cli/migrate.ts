import { fileSurroundings } from '../assembly/file-surroundings-adapter.ts'
import { type RunningMigrator, startMigrator } from '../assembly/start-migrator.ts'
import { asCommanderError, CommanderError } from '../kernel/errors.ts'
import type { MigrationPlan } from '../migrator/plan.ts'
import { loadMigration } from '../sdk/load-module-adapter.ts'
import type { Migration } from '../sdk/migration.ts'
import type { MigrationState } from '../state/migrations.ts'
import { readIdentity } from '../store/identity-adapter.ts'
import { parseInteger } from './arguments.ts'
import { toJson } from './entry-text.ts'
import { exitCodes, UsageError } from './exit-code.ts'
import { planText, progressText, resultText } from './migration-text.ts'
import type { Flags } from './settings.ts'
import { table } from './table.ts'
import { controlClient, findTarget, noDatabase, statusOf, timeoutOf } from './target.ts'
import type { Terminal } from './terminal.ts'

interface MigrateFlags {
  readonly module?: string
  readonly apply?: boolean
  readonly finalise?: boolean
  readonly abandon?: boolean
  readonly samples?: string
}

const samplesDefault = 3

/** Plans a migration of one aggregate type, and with `--apply` carries it out; `--finalise` and `--abandon` end it. */
export async function migrate(terminal: Terminal, type: string, flags: Flags): Promise<number> {
  const { module, apply, finalise, abandon, samples } = flags as MigrateFlags
  if ([apply, finalise, abandon].filter((flag) => flag === true).length > 1)
    throw new UsageError('--apply, --finalise and --abandon are three steps; give one of them')
  if (finalise === true || abandon === true) {
    if (module !== undefined) throw new UsageError('--module is for planning and --apply; leave it out')
    return end(terminal, type, flags, finalise === true)
  }
  if (module === undefined) throw new UsageError('--module is missing; name the module that defines the migration')
  const samplesMax = samples === undefined ? samplesDefault : parseInteger('--samples', samples)
  const migration = await loadMigration(module)
  if (migration.aggregate.name !== type) {
    throw new UsageError(
      `${module} migrates "${migration.aggregate.name}", not "${type}"; name the one that it migrates`,
    )
  }
  return withMigrator(flags, async (running) => {
    const plan = await running.migrator.plan(migration, samplesMax)
    return apply === true ? carryOut(terminal, running, migration, plan, flags) : show(terminal, plan, flags)
  })
}

async function show(terminal: Terminal, plan: MigrationPlan, flags: Flags): Promise<number> {
  await terminal.out(flags['json'] === true ? `${toJson(plan)}\n` : planText(plan))
  return plan.failures.count === 0 ? exitCodes.done : exitCodes.failed
}

async function carryOut(
  terminal: Terminal,
  { migrator }: RunningMigrator,
  migration: Migration,
  plan: MigrationPlan,
  flags: Flags,
): Promise<number> {
  const [first] = plan.failures.first
  if (first !== undefined) {
    const more = plan.failures.count === 1 ? '' : ` (and ${plan.failures.count - 1} more)`
    const message = `the migration fails at ${first.where}: ${first.message}${more}; nothing was done`
    throw new CommanderError('invalid_input', message)
  }
  let shown = ''
  const result = await migrator.migrate(migration, (progress) => {
    const line = progressText(progress)
    if (terminal.isInteractive && line !== shown) terminal.error(`${line}\n`)
    shown = line
  })
  const whole = { ...result, events: plan.events.toRewrite, unlikeUpcast: plan.events.unlikeUpcast }
  await terminal.out(flags['json'] === true ? `${toJson(whole)}\n` : resultText(whole))
  return exitCodes.done
}

async function end(terminal: Terminal, type: string, flags: Flags, isFinal: boolean): Promise<number> {
  const { toVersion, switchedLsn } = await withMigrator(flags, ({ migrator }) =>
    isFinal ? migrator.finalise(type) : migrator.abandon(type),
  )
  const left = switchedLsn === 0 ? 'nothing was switched' : `${type} reads its old events again`
  const text = isFinal
    ? `the migration of ${type} to version ${toVersion} is final; its old events are being removed\n`
    : `the migration of ${type} to version ${toVersion} is given up; ${left}\n`
  const ended = { aggregate: type, toVersion, ended: isFinal ? 'finalised' : 'abandoned' }
  await terminal.out(flags['json'] === true ? `${JSON.stringify(ended)}\n` : text)
  return exitCodes.done
}

/** Lists the migrations that are under way. */
export async function migrations(terminal: Terminal, flags: Flags): Promise<number> {
  const found = await withMigrator(flags, async ({ follow }) => {
    await follow.ready()
    return [...follow.state.migrations.byType.values()].map(viewOf)
  })
  const rows = found.map(({ aggregate, fromVersion, toVersion, status, copied, goal, migration, startedAt }) => [
    aggregate,
    `${fromVersion} to ${toVersion}`,
    status,
    `${copied} of ${goal}`,
    migration,
    startedAt,
  ])
  const head = ['aggregate', 'versions', 'status', 'position', 'entry', 'started']
  await terminal.out(flags['json'] === true ? `${JSON.stringify(found)}\n` : table(head, rows))
  return exitCodes.done
}

const viewOf = (state: MigrationState) => ({
  aggregate: state.type,
  fromVersion: state.fromVersion,
  toVersion: state.toVersion,
  status: state.switchedLsn === 0 ? 'rewriting' : 'switched',
  copied: Math.min(state.copied, state.newestOld),
  goal: state.newestOld,
  migration: state.startedLsn,
  switchedLsn: state.switchedLsn,
  startedAt: new Date(state.startedAtMs).toISOString(),
})

/** Follows the database for as long as `use` works. @throws CommanderError `no_database`, `timeout` */
async function withMigrator<Result>(flags: Flags, use: (running: RunningMigrator) => Promise<Result>): Promise<Result> {
  const target = await findTarget(flags)
  if (target.kind === 'url') throw new UsageError('stream migrate works by --data-dir, on the host of the database')
  const { dataDir } = target
  await statusOf(dataDir)
  const identity = readIdentity(dataDir)
  if (identity === undefined) throw noDatabase(dataDir, null)
  const { transport, environment } = controlClient(dataDir)
  let running: RunningMigrator | null = null
  const failed = (error: Error): void => running?.follow.fail(asCommanderError(error))
  running = startMigrator(
    fileSurroundings({ environment, transport, dataDir, databaseId: identity.databaseId, failed }),
  )
  const timeoutMs = timeoutOf(flags)
  const { follow, stop } = running
  const timer = environment.scheduler.after(timeoutMs, () => follow.fail(late(dataDir, timeoutMs)))
  try {
    await follow.ready()
    timer.cancel()
    return await use(running)
  } finally {
    timer.cancel()
    await stop()
  }
}

const late = (dataDir: string, timeoutMs: number): CommanderError =>
  new CommanderError('timeout', `the journal of ${dataDir} cannot be followed after ${timeoutMs} ms; raise --timeout`)
