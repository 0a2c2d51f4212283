/** ISO 8601, UTC. Timers may be due later than a date can say. */
export function isoTime(ms: number): string {
  return new Date(Math.min(ms, lastMs)).toISOString()
}

export const isoTimeOrNull = (ms: number | null): string | null => (ms === null ? null : isoTime(ms))

const lastMs = 8.64e15
