import { readFileSync } from 'node:fs'
import { relative } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The part of V8's format that is read here. */
interface CpuProfile {
  readonly startTime: number
  readonly nodes: readonly {
    readonly id: number
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number }
    readonly children?: readonly number[]
  }[]
  readonly samples: readonly number[]
  readonly timeDeltas: readonly number[]
}

export interface FunctionTime {
  /** `name file:line`. */
  readonly name: string
  readonly selfMs: number
  /** With what it calls. */
  readonly totalMs: number
}

interface Place {
  readonly name: string
  /** This function and its callers, each once. */
  readonly path: ReadonlySet<string>
}

/** Time by function of the main thread's samples between two instants of the monotonic clock, most self time first. */
export function readFunctionTimes(path: string, fromMicros: number, toMicros: number): readonly FunctionTime[] {
  const profile = JSON.parse(readFileSync(path, 'utf8')) as CpuProfile
  const places = placesOf(profile)
  const self = new Map<string, number>()
  const total = new Map<string, number>()
  let atMicros = profile.startTime
  profile.samples.forEach((id, index) => {
    const spentMicros = profile.timeDeltas[index] ?? 0
    atMicros += spentMicros
    const place = places.get(id)
    if (place === undefined || atMicros < fromMicros || atMicros > toMicros) return
    add(self, place.name, spentMicros)
    for (const name of place.path) add(total, name, spentMicros)
  })
  return [...total]
    .map(([name, micros]) => ({ name, selfMs: (self.get(name) ?? 0) / 1000, totalMs: micros / 1000 }))
    .sort((a, b) => b.selfMs - a.selfMs)
}

function placesOf({ nodes }: CpuProfile): ReadonlyMap<number, Place> {
  const byId = new Map(nodes.map((node) => [node.id, node]))
  const places = new Map<number, Place>()
  const enter = (id: number, above: ReadonlySet<string>): void => {
    const node = byId.get(id)
    if (node === undefined) return
    const name = nameOf(node.callFrame)
    const path = new Set([...above, name])
    places.set(id, { name, path })
    for (const child of node.children ?? []) enter(child, path)
  }
  const [root] = nodes
  if (root !== undefined) enter(root.id, new Set())
  return places
}

function nameOf({ functionName, url, lineNumber }: CpuProfile['nodes'][number]['callFrame']): string {
  const name = functionName === '' ? '(anonymous)' : functionName
  if (url === '') return name
  const file = url.startsWith('file:') ? relative(process.cwd(), fileURLToPath(url)) : url
  return `${name} ${file}:${lineNumber + 1}`
}

function add(to: Map<string, number>, name: string, value: number): void {
  to.set(name, (to.get(name) ?? 0) + value)
}
