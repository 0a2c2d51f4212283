/** How a client's promises get on. */
export interface Pumping {
  /** Has time pass until the promise settles. */
  call<Value>(make: () => Promise<Value>): Promise<Value>
  /** Has time pass for a moment: what the promise waits for may never come. */
  forAMoment<Value>(make: () => Promise<Value>): Promise<Value>
}

/**
 * The client, with virtual time passing while somebody waits for one of its promises: those of its methods, of what they
 * return, and of iterations.
 *
 * @param own found before what the client has
 */
export function pumped(client: object, own: object, pumping: Pumping): object {
  return new Proxy(client, {
    get(target, property) {
      if (Reflect.has(own, property)) return Reflect.get(own, property)
      const value: unknown = Reflect.get(target, property, target)
      if (typeof value !== 'function') return value
      return (...args: unknown[]) => pumpedResult(() => value.apply(target, args), pumping)
    },
  })
}

function pumpedResult(make: () => unknown, pumping: Pumping): unknown {
  const result = make()
  if (result instanceof Promise) return pumping.call(() => result).then((value) => pumpedValue(value, pumping))
  if (isAsyncIterable(result)) return pumpedIteration(result, pumping)
  return pumpedValue(result, pumping)
}

/** A handle has methods; data has none. */
function pumpedValue(value: unknown, pumping: Pumping): unknown {
  if (typeof value !== 'object' || value === null) return value
  const hasMethods =
    Object.values(value).some((one) => typeof one === 'function') ||
    ![Object.prototype, Array.prototype, null].includes(Object.getPrototypeOf(value))
  return hasMethods ? pumped(value, {}, pumping) : value
}

async function* pumpedIteration(iterable: AsyncIterable<unknown>, pumping: Pumping): AsyncGenerator<unknown> {
  const iterator = iterable[Symbol.asyncIterator]()
  try {
    for (;;) {
      const { value, done } = await pumping.forAMoment(() => Promise.resolve(iterator.next()))
      if (done === true) return
      yield value
    }
  } finally {
    await iterator.return?.()
  }
}

const isAsyncIterable = (value: unknown): value is AsyncIterable<unknown> =>
  typeof value === 'object' && value !== null && Symbol.asyncIterator in value
