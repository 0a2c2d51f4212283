import type { MetadataChange, MetadataValue } from './metadata-store.ts'

/** Everything at once, as of a revision of the store. */
export interface MetadataListing {
  readonly values: readonly MetadataValue[]
  readonly revision: number
}

/**
 * What a watcher was told, so that it is told what differs, and nothing older than it knows: listings and events come over
 * different connections, from members that are behind each other.
 */
export class WatchedValues {
  readonly #prefix: string
  readonly #known = new Map<string, MetadataValue>()
  /** All changes up to here were told. */
  #revision = -1

  constructor(prefix: string) {
    this.#prefix = prefix
  }

  get revision(): number {
    return this.#revision
  }

  /** @param listing - of all keys with the prefix; it may hold others. @returns what is to be told; null when the listing is older than what is known. */
  replace(listing: MetadataListing): readonly MetadataChange[] | null {
    if (listing.revision < this.#revision) return null
    this.#revision = listing.revision
    const values = listing.values.filter(({ key }) => key.startsWith(this.#prefix))
    const present = new Set(values.map(({ key }) => key))
    const gone = [...this.#known.keys()].filter((key) => !present.has(key)).map((key) => ({ key, value: null }))
    const changed = values
      .filter(({ key, revision }) => this.#known.get(key)?.revision !== revision)
      .map((value) => ({ key: value.key, value }))
    return this.#take([...gone, ...changed])
  }

  /** @param revision - of the store with these changes; none lie between it and what is known. */
  apply(changes: readonly MetadataChange[], revision: number): readonly MetadataChange[] {
    if (revision <= this.#revision) return []
    this.#revision = revision
    return this.#take(changes)
  }

  #take(changes: readonly MetadataChange[]): readonly MetadataChange[] {
    for (const { key, value } of changes) {
      if (value === null) this.#known.delete(key)
      else this.#known.set(key, value)
    }
    return changes
  }
}
