/** First in, first out; taking from the front does not move the rest. */
export class Queue<Item> {
  #items: (Item | undefined)[] = []
  #head = 0

  get length(): number {
    return this.#items.length - this.#head
  }

  push(item: Item): void {
    this.#items.push(item)
  }

  peek(): Item | undefined {
    return this.#items[this.#head]
  }

  shift(): Item | undefined {
    const item = this.#items[this.#head]
    if (item === undefined) return undefined
    this.#items[this.#head++] = undefined
    if (this.#head === this.#items.length) {
      this.#items = []
      this.#head = 0
    } else if (this.#head > 4096 && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head)
      this.#head = 0
    }
    return item
  }

  takeAll(): Item[] {
    const all = this.#items.slice(this.#head) as Item[]
    this.#items = []
    this.#head = 0
    return all
  }

  *[Symbol.iterator](): Generator<Item> {
    for (let i = this.#head; i < this.#items.length; i++) yield this.#items[i] as Item
  }
}
