/** A binary heap: whoever comes before all others comes first. Those that come at the same place come in any order. */
export class Heap<Item> {
  readonly #isBefore: (a: Item, b: Item) => boolean
  readonly #items: Item[] = []

  constructor(isBefore: (a: Item, b: Item) => boolean) {
    this.#isBefore = isBefore
  }

  get length(): number {
    return this.#items.length
  }

  first(): Item | undefined {
    return this.#items[0]
  }

  push(item: Item): void {
    const items = this.#items
    let at = items.length
    items.push(item)
    while (at > 0) {
      const parent = (at - 1) >>> 1
      if (this.#isBefore(items[parent] as Item, item)) break
      items[at] = items[parent] as Item
      at = parent
    }
    items[at] = item
  }

  /** Takes the first one out. */
  pop(): Item | undefined {
    const items = this.#items
    const [first] = items
    const last = items.pop()
    if (last === undefined || items.length === 0) return first
    let at = 0
    for (;;) {
      let child = at * 2 + 1
      if (child >= items.length) break
      if (child + 1 < items.length && this.#isBefore(items[child + 1] as Item, items[child] as Item)) child++
      if (this.#isBefore(last, items[child] as Item)) break
      items[at] = items[child] as Item
      at = child
    }
    items[at] = last
    return first
  }

  /** All of them, in no order; they are there no longer. */
  takeAll(): Item[] {
    return this.#items.splice(0)
  }
}
