import { Cron } from 'croner'

/** When something is due by a cron pattern. A function of the times that it is asked about: it reads no clock. */
export interface CronPattern {
  /** The first time behind this one, in milliseconds since 1970; null: never again. */
  next(afterMs: number): number | null
  /** The last `count` times up to this one and with it, the earliest first. */
  previous(upToMs: number, count: number): number[]
}

/** No date: croner would take one for a single time. */
const form = /^(@[a-z]+|\S+(\s+\S+){4,6})$/i

/**
 * Five parts (minute to day of the week), or six with seconds in front, or seven with years behind, in a time zone.
 * Where clocks are put forward, a time that is left out is due at the first one that is there; where they are put back, a
 * time that comes twice is due once. What repeats within the hour goes on as it does.
 *
 * @throws Error that says what is wrong with the pattern or the time zone
 */
export function parseCron(pattern: string, timezone: string): CronPattern {
  if (!form.test(pattern.trim())) throw new Error('a pattern has five to seven parts with spaces between them')
  assertTimeZone(timezone)
  const cron = new Cron(pattern.trim(), { timezone, paused: true })
  if (cron.nextRun(new Date(0)) === null) throw new Error('there is no such time')
  return {
    next: (afterMs) => cron.nextRun(new Date(afterMs))?.getTime() ?? null,
    previous: (upToMs, count) =>
      cron
        .previousRuns(count, new Date(upToMs + 1))
        .map((time) => time.getTime())
        .reverse(),
  }
}

/** Before croner does, which wraps what is wrong with one several times. */
function assertTimeZone(timezone: string): void {
  try {
    new Intl.DateTimeFormat('en', { timeZone: timezone })
  } catch (cause) {
    const message = `there is no time zone ${JSON.stringify(timezone)}: give one as Europe/Berlin or UTC`
    throw new Error(message, { cause })
  }
}
