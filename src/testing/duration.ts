import { CommanderError } from '../kernel/errors.ts'

/** Milliseconds, or a number with its unit: `250ms`, `30s`, `5m`, `12h`, `30d`. */
export type Duration = number | `${number}${'ms' | 's' | 'm' | 'h' | 'd'}`

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** @throws CommanderError `invalid_input` */
export function millisecondsOf(duration: Duration): number {
  if (typeof duration === 'number' && duration >= 0 && Number.isFinite(duration)) return duration
  const [, number, unit = ''] = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(String(duration)) ?? []
  const ofUnit = unitMs[unit]
  if (number !== undefined && ofUnit !== undefined) return Number(number) * ofUnit
  const message = `the duration is ${JSON.stringify(duration)}; give milliseconds, or a number with a unit, such as "30d"`
  throw new CommanderError('invalid_input', message)
}
