import { pack } from '../actions/message-pack.ts'
import { messageOf } from '../kernel/errors.ts'
import { limits } from '../kernel/limits.ts'

/** What is wrong with a value that is to be recorded; null: nothing. */
export function unrecordable(value: unknown): string | null {
  if (typeof value !== 'object' && typeof value !== 'string' && typeof value !== 'function') return null
  if (value === null) return null
  if (typeof value === 'function') return 'is a function, which cannot be recorded'
  try {
    const bytes = pack(value).length
    if (bytes <= limits.workflowValueBytesMax) return null
    return `has ${bytes} bytes; at most ${limits.workflowValueBytesMax} can be recorded`
  } catch (error) {
    return `cannot be recorded: ${messageOf(error)}`
  }
}
