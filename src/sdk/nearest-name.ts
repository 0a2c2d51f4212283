/** The candidate that needs the fewest changes to become `name`; of paths, the last part counts most. */
export function nearestName(name: string, candidates: Iterable<string>): string | undefined {
  let nearest: string | undefined
  let least = Number.POSITIVE_INFINITY
  for (const candidate of candidates) {
    const lastPartChanges = distance(lastPart(name), lastPart(candidate)) + 1
    const shortening = isShortened(name, candidate) ? shorteningCost : Number.POSITIVE_INFINITY
    const changes = Math.min(distance(name, candidate), lastPartChanges, shortening)
    if (changes < least) [nearest, least] = [candidate, changes]
  }
  return nearest
}

const shorteningCost = 2

/** `dataDirectory` for `dataDir`, or `limits.payload` for `limits.payloadBytes`. */
function isShortened(left: string, right: string): boolean {
  if (parent(left) !== parent(right)) return false
  const [a, b] = [lastPart(left).toLowerCase(), lastPart(right).toLowerCase()]
  return a.startsWith(b) || b.startsWith(a)
}

const parent = (path: string): string => path.slice(0, path.lastIndexOf('.') + 1)
const lastPart = (path: string): string => path.slice(path.lastIndexOf('.') + 1)

/** Levenshtein distance, ignoring case; Wagner and Fischer's algorithm, one row at a time. */
function distance(left: string, right: string): number {
  const [a, b] = [left.toLowerCase(), right.toLowerCase()]
  let row = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(replaced, (row[j] as number) + 1, (next[j - 1] as number) + 1))
    }
    row = next
  }
  return row[b.length] as number
}
