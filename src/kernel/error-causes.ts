/** What is kept of one error: the rest is cut off. */
const causesMax = 6
const causeLengthMax = 500
const depthMax = 8

/**
 * Why an error came about, in lines: its `cause`, that one's cause, and the errors of an `AggregateError`. Often only they say
 * it: of a `fetch` that failed, its message says no more than that.
 */
export function causesOf(error: unknown): string[] {
  const lines: string[] = []
  const seen = new Set<unknown>([error])
  gather(error, lines, seen, 0)
  return lines
}

/** An error as text that was a cause when it was recorded. */
export function causeOfLines(lines: readonly string[]): Error | undefined {
  return lines.reduceRight<Error | undefined>(
    (cause, line) => Object.assign(new Error(line, cause === undefined ? undefined : { cause }), { name: '' }),
    undefined,
  )
}

function gather(error: unknown, lines: string[], seen: Set<unknown>, depth: number): void {
  if (typeof error !== 'object' || error === null || depth >= depthMax) return
  const { cause, errors } = error as { readonly cause?: unknown; readonly errors?: unknown }
  const own = cause === undefined || cause === null ? [] : [cause]
  for (const one of [...own, ...(Array.isArray(errors) ? (errors as readonly unknown[]) : [])]) {
    if (lines.length >= causesMax) return
    if (seen.has(one)) continue
    seen.add(one)
    const line = lineOf(one)
    if (line !== '') lines.push(line)
    gather(one, lines, seen, depth + 1)
  }
}

function lineOf(cause: unknown): string {
  if (!(cause instanceof Error)) return textOf(cause).slice(0, causeLengthMax)
  const { name, message } = cause
  const { code } = cause as { readonly code?: unknown }
  const coded = typeof code === 'string' && !message.includes(code) ? ` (${code})` : ''
  const text = message === '' && coded === '' ? name : `${message}${coded}`.trim()
  return (name === '' || name === 'Error' || name === text ? text : `${name}: ${text}`).slice(0, causeLengthMax)
}

function textOf(value: unknown): string {
  if (typeof value !== 'object') return String(value)
  try {
    return JSON.stringify(value) ?? ''
  } catch {
    return String(value)
  }
}
