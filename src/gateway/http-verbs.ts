import type { HttpRoute } from './http-route.ts'

/** A path whose last segment ends in a verb: `/v1/commands/12:retry`. */
interface VerbPath {
  /** Without the verb, as it was sent. */
  readonly base: string
  readonly verb: string
}

/**
 * Verbs of paths. Only a colon that is sent as it is begins one: `%3A` is a part of the id, as every other encoded
 * character is. The router decodes before it compares, so the verb becomes a segment of its own, which no client can
 * send: one with a colon in its last segment always gets here first, and an encoded one never compares equal.
 */
export class HttpVerbs {
  /** What verbs there are behind a path, by its pattern. */
  readonly #known = new Map<string, { readonly pattern: RegExp; readonly verbs: string[] }>()

  constructor(routes: readonly HttpRoute[]) {
    for (const { path } of routes) {
      const at = verbAt(path)
      if (at < 0) continue
      const base = path.slice(0, at)
      const pattern = new RegExp(`^${base.replace(/\{\w+\}/g, '[^/]+')}$`)
      const known = this.#known.get(base) ?? { pattern, verbs: [] }
      known.verbs.push(path.slice(at + 1))
      this.#known.set(base, known)
    }
  }

  /** The URL as the router takes it. */
  rewritten(method: string | undefined, url: string): string {
    const path = pathOf(url)
    const split = method === 'POST' ? this.#split(path) : null
    return split === null ? url : `${routedPath(`${split.base}:${split.verb}`)}${url.slice(path.length)}`
  }

  /** Where verbs are known, and this is none of them: what to say; null: it is something else that is wrong. */
  unknownVerb(method: string, url: string): string | null {
    const split = method === 'POST' ? this.#split(pathOf(url)) : null
    if (split === null) return null
    const { verbs } = this.#knownAt(split.base) ?? { verbs: [] }
    const known = verbs.map((verb) => `:${verb}`).join(', ')
    return (
      `there is no ":${split.verb.slice(0, 64)}" of ${split.base.slice(0, 256)}, but only ${known}; ` +
      'a colon that is part of the id is sent as %3A'
    )
  }

  #split(path: string): VerbPath | null {
    const at = verbAt(path)
    if (at < 0) return null
    const base = path.slice(0, at)
    return this.#knownAt(base) === undefined ? null : { base, verb: path.slice(at + 1) }
  }

  #knownAt(base: string): { readonly verbs: readonly string[] } | undefined {
    return [...this.#known.values()].find(({ pattern }) => pattern.test(base))
  }
}

/** A route's path, or one that was sent, with its verb as a segment of its own. */
export function routedPath(path: string): string {
  const at = verbAt(path)
  return at < 0 ? path : `${path.slice(0, at)}/${path.slice(at)}`
}

/** Of the colon in the last segment; -1: there is none. */
function verbAt(path: string): number {
  const at = path.lastIndexOf(':')
  return at > path.lastIndexOf('/') ? at : -1
}

const pathOf = (url: string): string => url.split('?', 1)[0] as string
