/** Who waits for children to be started: the operations themselves end with the children. */
export class StartedChildren {
  readonly #waiting = new Map<string, () => void>()

  wait(operation: string): Promise<void> {
    return new Promise((resolve) => this.#waiting.set(operation, resolve))
  }

  started(operation: string): void {
    this.#waiting.get(operation)?.()
    this.#waiting.delete(operation)
  }

  forget(operation: string): void {
    this.#waiting.delete(operation)
  }

  clear(): void {
    this.#waiting.clear()
  }
}
