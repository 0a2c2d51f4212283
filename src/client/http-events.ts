import type { ClientEvent } from '../ipc/call-codec.ts'
import { CommanderError } from '../kernel/errors.ts'

/** Events that came together, and how far the reading is with them. */
export interface EventBatch {
  readonly events: readonly ClientEvent[]
  /** Position to go on after, should the connection be lost. */
  readonly after: number
}

/** Longest line: an event with its data. */
const lineBytesMax = 33_554_432

/** The complete lines of each chunk, without their ends. */
async function* linesOf(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<readonly string[]> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const chunk of chunks) {
    rest += decoder.decode(chunk, { stream: true })
    const end = rest.lastIndexOf('\n')
    if (end === -1) {
      if (rest.length > lineBytesMax) throw violation(`a line with more than ${lineBytesMax} characters`)
      continue
    }
    const lines = rest.slice(0, end).split('\n')
    rest = rest.slice(end + 1)
    yield lines
  }
  if (rest !== '') throw new CommanderError('connection_lost', 'the events ended in the middle of one')
}

/** Events of `application/x-ndjson`, one a line. */
export async function* readLines(chunks: AsyncIterable<Uint8Array>, after: number): AsyncGenerator<EventBatch> {
  let reached = after
  for await (const lines of linesOf(chunks)) {
    const events = lines.map(parseEvent)
    reached = events.at(-1)?.globalPosition ?? reached
    yield { events, after: reached }
  }
}

/** Events of `text/event-stream`, as the server sends them: one `data` line a message, its id the position. */
export async function* readMessages(chunks: AsyncIterable<Uint8Array>, after: number): AsyncGenerator<EventBatch> {
  let reached = after
  let id = after
  let event: ClientEvent | null = null
  for await (const lines of linesOf(chunks)) {
    const events: ClientEvent[] = []
    for (const line of lines) {
      if (line.startsWith('data: ')) event = parseEvent(line.slice(6))
      else if (line.startsWith('id: ')) id = positionOf(line.slice(4), id)
      if (line !== '') continue
      // Only now is the message whole: until then it must come again after a lost connection.
      if (event !== null) events.push(event)
      event = null
      reached = id
    }
    yield { events, after: reached }
  }
}

const positionOf = (text: string, before: number): number => (/^[0-9]{1,16}$/.test(text) ? Number(text) : before)

function parseEvent(line: string): ClientEvent {
  try {
    return JSON.parse(line) as ClientEvent
  } catch (error) {
    throw violation('a line that is no event', error)
  }
}

const violation = (what: string, cause?: unknown): CommanderError =>
  new CommanderError('protocol_violation', `the database sent ${what}`, { cause })
