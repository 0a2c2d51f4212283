import type { TortureResult } from './torture.ts'

/** For people; `--json` has the same for programs. */
export function asTable(result: TortureResult): string {
  const rows = [...result.rows].sort(([a], [b]) => (a < b ? -1 : 1))
  const width = Math.max(...rows.map(([name]) => name.length), 'all'.length)
  const line = (name: string, cycles: number | string, unavailable: number | string): string =>
    `${name.padEnd(width)}  ${String(cycles).padStart(6)}  ${String(unavailable).padStart(22)}`
  const errors = [...result.errors].map(([code, count]) => `${code} ${count}`).join(', ')
  return [
    line('fault', 'cycles', 'longest unavailable ms'),
    ...rows.map(([name, { cycles, longestUnavailableMs }]) => line(name, cycles, longestUnavailableMs)),
    line('all', result.cycles, result.longestUnavailableMs),
    '',
    `seed ${result.seed}: ${result.cycles} cycles, ${result.killCycles} of them with a kill`,
    `acknowledged ${result.acknowledged}, lost ${result.lost}, duplicated ${result.duplicated}`,
    `retryable errors that callers saw: ${errors === '' ? 'none' : errors}`,
    ...result.violations.map((text) => `VIOLATION ${text}`),
    result.violations.length === 0 ? 'no violation' : `${result.violations.length} violations`,
  ].join('\n')
}
