const perValue = 9
const perCharacter = 3
const perLevel = 100

/** Whether a value may take more than so many bytes in MessagePack: cheap to tell of small ones, and true of what refers to itself. */
export const mayExceed = (value: unknown, bytes: number): boolean => left(value, bytes) < 0

/** What is left of the room behind a value; below 0: it may not fit. */
function left(value: unknown, room: number): number {
  if (typeof value === 'string') return room - perValue - perCharacter * value.length
  if (typeof value !== 'object' || value === null) return room - perValue
  if (ArrayBuffer.isView(value)) return room - perValue - value.byteLength
  let rest = room - perLevel
  for (const [name, item] of entriesOf(value)) {
    if (rest < 0) return rest
    rest = left(item, left(name, rest))
  }
  return rest
}

function entriesOf(value: object): Iterable<readonly [unknown, unknown]> {
  if (value instanceof Map) return value
  if (value instanceof Set) return value.entries()
  return Object.entries(value)
}
