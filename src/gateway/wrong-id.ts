import { limits } from '../kernel/limits.ts'
import { isWorkflowType, workflowNameOf } from '../workflows/workflow-names.ts'

/** Characters of an id that a message shows. */
const shownMax = 40

/** What is wrong with the id of an aggregate, or of a workflow; null: nothing. */
export function wrongId(type: string, id: string): string | null {
  const bytes = Buffer.byteLength(id)
  const isWellFormed = id.isWellFormed()
  if (bytes >= 1 && bytes <= limits.aggregateIdBytesMax && isWellFormed) return null
  const whose = isWorkflowType(type) ? `workflow ${workflowNameOf(type)}` : `aggregate ${type}`
  const begins = bytes === 0 ? '' : `, ${JSON.stringify(id.length <= shownMax ? id : `${id.slice(0, shownMax)}…`)},`
  if (bytes >= 1 && bytes <= limits.aggregateIdBytesMax)
    return `the id of ${whose}${begins} has half of a surrogate pair, which no UTF-8 can say; send whole characters`
  return `the id of ${whose}${begins} has ${bytes} bytes, but must have 1 to ${limits.aggregateIdBytesMax} of UTF-8; use another one`
}
