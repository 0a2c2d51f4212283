import progress, { type Options, type Params } from 'cli-progress'

const { Format, SingleBar } = progress

/** The owner file of cli-progress. */
export interface Progress {
  update(done: { readonly bytes: number; readonly rows: number }): void
  stop(): void
}

const samplesMax = 50

/** How far a file is read, how fast, and how long it will take: on standard error, for people who watch. */
export function createProgressBar(totalBytes: number, startedMs: number, nowMs: () => number): Progress {
  let rows = 0
  const format = (options: Options, params: Params): string => {
    const seconds = Math.max(0.001, (nowMs() - startedMs) / 1000)
    const left = params.progress > 0 ? (seconds / params.progress) * (1 - params.progress) : Number.NaN
    const percent = `${Math.floor(params.progress * 100)}%`.padStart(4)
    const rate = `${Math.round(rows / seconds).toLocaleString('en')} commands/s`
    return `${Format.BarFormat(params.progress, options)} ${percent}  ${rows.toLocaleString('en')} rows  ${rate}  ${timeLeft(left)}`
  }
  const bar = new SingleBar({
    format,
    barsize: 30,
    hideCursor: true,
    clearOnComplete: true,
    fps: 5,
    etaBuffer: samplesMax,
  })
  bar.start(totalBytes, 0)
  return {
    update(done) {
      rows = done.rows
      bar.update(done.bytes)
    },
    stop: () => bar.stop(),
  }
}

function timeLeft(seconds: number): string {
  if (!Number.isFinite(seconds)) return ''
  const whole = Math.ceil(seconds)
  const minutes = Math.floor(whole / 60)
  return `${minutes}:${String(whole % 60).padStart(2, '0')} left`
}
