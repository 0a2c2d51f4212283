import CliTable from 'cli-table3'

/** The owner file of cli-table3. */
export type Cell = string | number | boolean | null | undefined

const none = ''
const bare = {
  top: none,
  'top-mid': none,
  'top-left': none,
  'top-right': none,
  bottom: none,
  'bottom-mid': none,
  'bottom-left': none,
  'bottom-right': none,
  left: none,
  'left-mid': none,
  mid: none,
  'mid-mid': none,
  right: none,
  'right-mid': none,
  middle: '  ',
}
const style = { 'padding-left': 0, 'padding-right': 0, head: [], border: [] }

/** A table for people: a line of names, then the rows; numbers to the right. Ends with a line feed. */
export function table(head: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const colAligns = head.map((_, column) => (rows.some((row) => typeof row[column] === 'number') ? 'right' : 'left'))
  const drawn = new CliTable({ head: [...head], chars: bare, style, colAligns })
  for (const row of rows) drawn.push(row.map((cell) => (cell === null || cell === undefined ? '-' : String(cell))))
  return `${drawn.toString().replace(/ +$/gm, '')}\n`
}

/** Names and values below each other. */
export function list(pairs: readonly (readonly [name: string, value: Cell])[]): string {
  const width = Math.max(...pairs.map(([name]) => name.length))
  return pairs.map(([name, value]) => `${name.padEnd(width)}  ${value ?? '-'}\n`).join('')
}
