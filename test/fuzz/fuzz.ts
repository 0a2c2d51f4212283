import { SeededRandom } from '../../src/testing/seeded-random.ts'
import { Watchdog } from './watchdog.ts'

/** What is fed with inputs. It throws when something comes out that must not. */
export interface FuzzTarget {
  /** So many inputs go in, then it is closed and opened anew, so that what is valid in them does not pile up. */
  readonly inputsPerLife: number
  open(random: SeededRandom): Promise<FuzzLife>
}

export interface FuzzLife {
  /** Feeds one input that follows from the random numbers. `shows` is called with it first. */
  feed(random: SeededRandom, shows: (input: Buffer) => void): Promise<void>
  /** The target still does what it is for. */
  check(): Promise<void>
  close(): Promise<void>
}

export interface FuzzOptions {
  readonly target: FuzzTarget
  readonly seed: number
  readonly inputs: number
  readonly progress?: (inputs: number, residentBytes: number) => void
}

/** Far above what any target needs, and far below what an input that makes it hoard takes. */
const residentBytesMax = 1_610_612_736
const checkEvery = 500

/** The numbers of one input depend on the seed and its index alone. */
const randomOf = (seed: number, index: number): SeededRandom =>
  new SeededRandom((seed ^ Math.imul(index + 1, 0x9e3779b1)) >>> 0)

/** @throws Error with the seed, the index and the bytes of the input at which it happened. @returns the most memory that was resident */
export async function fuzz({ target, seed, inputs, progress }: FuzzOptions): Promise<number> {
  using watchdog = new Watchdog(`seed ${seed}`)
  let most = 0
  let input: Buffer = Buffer.alloc(0)
  let index = 0
  let uncaught: { readonly error: unknown } | null = null
  let fail: (error: unknown) => void = () => {}
  const note = (error: unknown): void => {
    uncaught ??= { error }
    fail(error)
  }
  // Not a race with one promise for all of them: it would hold on to every result.
  const unlessUncaught = <Value>(work: Promise<Value>): Promise<Value> =>
    new Promise((resolve, reject) => {
      fail = reject
      if (uncaught !== null) reject(uncaught.error)
      work.then(resolve, reject)
    })
  process.on('uncaughtException', note)
  process.on('unhandledRejection', note)
  try {
    while (index < inputs) {
      const life = await unlessUncaught(target.open(randomOf(seed, index)))
      for (const end = Math.min(inputs, index + target.inputsPerLife); index < end; index++) {
        const feeding = life.feed(randomOf(seed, index), (bytes) => {
          input = bytes
          watchdog.feeds(index, bytes)
        })
        await unlessUncaught(feeding)
        if ((index + 1) % checkEvery !== 0 && index + 1 < end) continue
        await unlessUncaught(life.check())
        const { rss } = process.memoryUsage()
        most = Math.max(most, rss)
        if (rss > residentBytesMax) throw new Error(`${rss} bytes are resident`)
        progress?.(index + 1, rss)
      }
      await unlessUncaught(life.close())
    }
  } catch (error) {
    const where = `seed ${seed}, input ${index} (the last ${checkEvery} may have led to it): ${input.toString('base64')}`
    throw new Error(`${(error as Error).stack ?? String(error)}\n${where}`, { cause: error })
  } finally {
    process.off('uncaughtException', note)
    process.off('unhandledRejection', note)
  }
  return most
}
