import type { MigrationProgress, MigrationResult } from '../migrator/migrator.ts'
import type { MigrationPlan, MigrationSample } from '../migrator/plan.ts'
import { toJson } from './entry-text.ts'
import { list, table } from './table.ts'

/** What a migration would do, for people. */
export function planText({ aggregate, fromVersion, toVersion, streams, ...plan }: MigrationPlan): string {
  const { events, commands, samples, failures } = plan
  const parts = [
    list([
      ['aggregate', aggregate],
      ['versions', `${fromVersion} to ${toVersion}`],
      ['streams', streams],
      ['events', `${events.toRewrite} to rewrite, ${events.current} of version ${toVersion} already`],
      ['dropped', events.dropped],
      ['unlike upcast', events.unlikeUpcast],
      ['commands', `${commands.toRewrite} to rewrite`],
      ['failures', failures.count],
    ]),
  ]
  if (events.byType.length > 0)
    parts.push(
      table(
        ['event', 'version', 'count'],
        events.byType.map((one) => [one.type, one.version, one.count]),
      ),
    )
  if (commands.byName.length > 0) {
    const rows = commands.byName.map((one) => [one.command, one.status, one.version, one.count])
    parts.push(table(['command', 'status', 'version', 'count'], rows))
  }
  if (samples.length > 0) parts.push(samples.map(sampleText).join(''))
  if (failures.count > 0) {
    const shown = failures.first.map(({ where, message }) => `fails at ${where}: ${message}\n`)
    const more = failures.count - failures.first.length
    parts.push(`${shown.join('')}${more > 0 ? `and ${more} more\n` : ''}`)
  }
  parts.push(failures.count > 0 ? 'nothing was done\n' : 'nothing was done; --apply carries it out\n')
  return parts.join('\n')
}

const sampleText = ({ where, before, after }: MigrationSample): string =>
  `${where}\n  before  ${toJson(before)}\n  after   ${toJson(after)}\n`

export const progressText = ({ phase, copied, goal }: MigrationProgress): string =>
  phase === 'switching' ? 'switching' : `rewritten up to position ${Math.min(copied, goal)} of ${goal}`

export function resultText({
  aggregate,
  toVersion,
  switchedLsn,
  events,
  unlikeUpcast,
}: MigrationResult & { readonly events: number; readonly unlikeUpcast: number }): string {
  const lines = [`${aggregate} is at version ${toVersion} since entry ${switchedLsn}; ${events} events were rewritten`]
  if (unlikeUpcast > 0) {
    const hint = `${unlikeUpcast} of them are not what upcast showed: rebuild the projections that follow ${aggregate}`
    lines.push(`${hint}, with commanderdb projection rebuild`)
  }
  lines.push('the old events are kept until stream migrate --finalise; --abandon goes back to them')
  return `${lines.join('\n')}\n`
}
